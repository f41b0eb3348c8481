package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
)

// NotFoundError says that a path leads nowhere. Callers for whom that is an answer and not a fault ask with errors.As.
type NotFoundError struct {
	// Path is the path as its author wrote it.
	Path string
}

func (e *NotFoundError) Error() string { return "jsonpath returned empty list: " + e.Path }

// Lookup returns the one value that a path (kubectl's JSONPath, with or without braces and leading dot) leads to in
// data, as plain JSON: nil, bool, int64, float64, string, []any or map[string]any. The value is a copy.
//
// data may be, or hold, Go structs; they are walked by their JSON names. An unset pointer, slice or map is null, an
// unset string "", an unset struct an empty object, and what is below an unset pointer leads nowhere: templates in
// use depend on those rules. A path that leads nowhere is a *NotFoundError; one that leads to several values, or
// cannot be parsed, another error.
func Lookup(path string, data any) (value any, err error) {
	// The JSONPath library walks by reflection and is given what users write: a panic in it is a bad path.
	defer func() {
		if r := recover(); r != nil {
			value, err = nil, fmt.Errorf("evaluate: failed to find results: %v", r)
		}
	}()
	parsed, err := parsePath(path)
	if err != nil {
		return nil, err
	}
	lists, err := parsed.FindResults(data)
	if err != nil {
		return nil, fmt.Errorf("evaluate: failed to find results: %w", err)
	}
	var found []reflect.Value
	for _, list := range lists {
		found = append(found, list...)
	}
	switch len(found) {
	case 0:
		return nil, &NotFoundError{Path: path}
	case 1:
		return plain(found[0])
	default:
		return nil, fmt.Errorf("too many results for the query: %s", path)
	}
}

const (
	mostDescents = 3
	mostUnions   = 12
)

// bounded refuses the paths whose results can be more than the data by orders of magnitude: each ".." multiplies them
// by the depth of the data, each "," by two.
func bounded(path string) error {
	if !strings.Contains(path, "..") && !strings.Contains(path, ",") {
		return nil
	}
	unquoted := quoted.ReplaceAllString(path, "")
	if strings.Count(unquoted, "..") > mostDescents {
		return fmt.Errorf("it has more than %d times '..'", mostDescents)
	}
	if strings.Count(unquoted, ",") > mostUnions {
		return fmt.Errorf("it has more than %d times ','", mostUnions)
	}
	return nil
}

var quoted = regexp.MustCompile(`"(\\.|[^"\\])*"|'(\\.|[^'\\])*'`)

// parsePath reads a path.
func parsePath(path string) (*jsonpath.JSONPath, error) {
	if path == "" {
		return nil, errors.New("empty jsonpath not allowed")
	}
	if err := bounded(path); err != nil {
		return nil, fmt.Errorf("evaluate: failed to parse jsonpath '%s': %w", path, err)
	}
	parsed := jsonpath.New("").AllowMissingKeys(true)
	if err := parsed.Parse(braced(path)); err != nil {
		return nil, fmt.Errorf("evaluate: failed to parse jsonpath '%s': %w", path, err)
	}
	return parsed, nil
}

func braced(path string) string {
	if !strings.HasPrefix(path, "{.") {
		if !strings.HasPrefix(path, ".") {
			path = "." + path
		}
		path = "{" + path
	}
	if !strings.HasSuffix(path, "}") {
		path += "}"
	}
	return path
}

func plain(value reflect.Value) (any, error) {
	for value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer {
		if value.IsNil() {
			return nil, nil
		}
		value = value.Elem()
	}
	switch value.Kind() {
	case reflect.Invalid:
		return nil, nil
	case reflect.String, reflect.Bool:
		// Types of string may have a JSON form of their own.
		if value.Type().PkgPath() == "" {
			return value.Interface(), nil
		}
	case reflect.Map, reflect.Slice:
		if value.IsNil() {
			return nil, nil
		}
	}
	encoded, err := json.Marshal(value.Interface())
	if err != nil {
		return nil, fmt.Errorf("evaluate: encoding the result: %w", err)
	}
	return decode(encoded)
}

// decode reads JSON and keeps whole numbers whole.
func decode(encoded []byte) (any, error) {
	var value any
	if len(encoded) == 0 {
		return nil, nil
	}
	if err := utiljson.Unmarshal(encoded, &value); err != nil {
		return nil, err
	}
	return value, nil
}
