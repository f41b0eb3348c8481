package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"carvel.dev/ytt/pkg/orderedmap"
)

// yttValues returns data as ytt's data values. It goes through JSON: what a struct leaves out when it is unset is
// absent for ytt, and not null, and the order of fields stays.
func yttValues(data map[string]any) (*orderedmap.Map, error) {
	encoded, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encoding the values for ytt: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	value, err := orderedValue(decoder)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("encoding the values for ytt: %w", err)
	}
	values, ok := value.(*orderedmap.Map)
	if !ok {
		return orderedmap.NewMap(), nil
	}
	return values, nil
}

// orderedValue reads one JSON value, in the types that ytt takes.
func orderedValue(decoder *json.Decoder) (any, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return orderedList(decoder)
		}
		return orderedObject(decoder)
	case json.Number:
		return number(token)
	default:
		return token, nil
	}
}

func orderedList(decoder *json.Decoder) (any, error) {
	list := []any{}
	for decoder.More() {
		value, err := orderedValue(decoder)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := decoder.Token()
	return list, err
}

func orderedObject(decoder *json.Decoder) (any, error) {
	// Set looks for the key in all there are, so a map of many keys is made at once.
	var items []orderedmap.MapItem
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := orderedValue(decoder)
		if err != nil {
			return nil, err
		}
		items = append(items, orderedmap.MapItem{Key: key, Value: value})
	}
	_, err := decoder.Token()
	return orderedmap.NewMapWithItems(items), err
}

// number keeps whole numbers whole.
func number(text json.Number) (any, error) {
	if whole, err := text.Int64(); err == nil {
		return whole, nil
	}
	if whole, err := strconv.ParseUint(text.String(), 10, 64); err == nil {
		return whole, nil
	}
	return text.Float64()
}

// orderedJSON is the way back.
func orderedJSON(value any) ([]byte, error) {
	var encoded bytes.Buffer
	separate := func(first bool) {
		if !first {
			encoded.WriteByte(',')
		}
	}
	switch value := value.(type) {
	case *orderedmap.Map:
		encoded.WriteByte('{')
		first := true
		err := value.IterateErr(func(key, below any) error {
			name, err := json.Marshal(key)
			if err != nil {
				return err
			}
			content, err := orderedJSON(below)
			separate(first)
			first = false
			encoded.Write(append(append(name, ':'), content...))
			return err
		})
		encoded.WriteByte('}')
		return encoded.Bytes(), err
	case []any:
		encoded.WriteByte('[')
		for i, below := range value {
			content, err := orderedJSON(below)
			if err != nil {
				return nil, err
			}
			separate(i == 0)
			encoded.Write(content)
		}
		encoded.WriteByte(']')
		return encoded.Bytes(), nil
	default:
		return json.Marshal(value)
	}
}
