package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	tagStart = "$("
	tagEnd   = ")$"
)

// Render fills the $(...)$ of a template, which is JSON, with what their paths lead to in context, and returns the
// object. Keys are never filled, and what is filled in is not looked at again. A string that is one tag and nothing
// else takes the value with its type; inside a longer string a value becomes text. Whole numbers stay whole.
func Render(template []byte, context map[string]any) (map[string]any, error) {
	parsed, err := decode(template)
	if err != nil {
		return nil, fmt.Errorf("failed to unmarshal template: %w", err)
	}
	rendered, err := fill(parsed, "", context)
	if err != nil {
		return nil, fmt.Errorf("failed to recursively evaluate template: %w", err)
	}
	object, ok := rendered.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("stamped resource is not a map[string]interface{}, stamped resource: %+v", rendered)
	}
	return object, nil
}

// fill goes through value in the order of its keys, so that of several errors it is always the same that is told.
func fill(value any, path string, context map[string]any) (any, error) {
	switch value := value.(type) {
	case string:
		filled, err := fillString(value, context)
		if err != nil {
			return nil, fmt.Errorf("failed to interpolate template at path [%s]: %w", strings.TrimSuffix(path, "."), err)
		}
		return filled, nil
	case map[string]any:
		filled := make(map[string]any, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below, err := fill(value[key], path+key+".", context)
			if err != nil {
				return nil, err
			}
			filled[key] = below
		}
		return filled, nil
	case []any:
		filled := make([]any, 0, len(value))
		for i, element := range value {
			below, err := fill(element, fmt.Sprintf("%s[%d]", path, i), context)
			if err != nil {
				return nil, err
			}
			filled = append(filled, below)
		}
		return filled, nil
	default:
		return value, nil
	}
}

func fillString(text string, context map[string]any) (any, error) {
	if path, ok := soleTag(text); ok {
		value, err := Lookup(path, context)
		if err != nil {
			return nil, fmt.Errorf("evaluate tag %s: %w", text, err)
		}
		return value, nil
	}
	var filled strings.Builder
	for {
		before, rest, found := strings.Cut(text, tagStart)
		if !found {
			break
		}
		path, after, found := strings.Cut(rest, tagEnd)
		if !found {
			break // an opening without an end is text like any other
		}
		value, err := embedded(path, context)
		if err != nil {
			return nil, fmt.Errorf("interpolate tag: %w", err)
		}
		filled.WriteString(before)
		filled.WriteString(value)
		text = after
	}
	filled.WriteString(text)
	return filled.String(), nil
}

// soleTag returns the path of a text that is one tag and nothing else.
func soleTag(text string) (path string, ok bool) {
	if len(text) < len(tagStart)+len(tagEnd) || !strings.HasPrefix(text, tagStart) || !strings.HasSuffix(text, tagEnd) || strings.Count(text, tagStart) != 1 {
		return "", false
	}
	return text[len(tagStart) : len(text)-len(tagEnd)], true
}

func embedded(path string, context map[string]any) (string, error) {
	value, err := Lookup(path, context)
	if err != nil {
		return "", fmt.Errorf("evaluate jsonpath: %w", err)
	}
	switch value := value.(type) {
	case nil:
		return "", errors.New("tag must not point to nil value: " + path)
	case string:
		return value, nil
	default:
		encoded, err := json.Marshal(value)
		if err != nil {
			return "", fmt.Errorf("evaluate jsonpath: %w", err)
		}
		return string(encoded), nil
	}
}
