package appfile

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// reader turns YAML into an App, and remembers on which line each field stands.
type reader struct {
	file     string
	lines    map[string]int // of each field that is there
	problems []error
}

// problem notes a mistake in a field; the line is the field's, or that of the nearest field around it.
func (r *reader) problem(field, text string, arguments ...any) {
	line, within := 0, field
	for {
		if found, ok := r.lines[within]; ok {
			line = found
			break
		}
		if within == "" {
			break
		}
		within = within[:max(strings.LastIndexAny(within, ".["), 0)]
	}
	r.problems = append(r.problems, &Problem{File: r.file, Line: line, Field: field, Text: fmt.Sprintf(text, arguments...)})
}

// read sets what target points to; field is its path.
func (r *reader) read(node *yaml.Node, field string, target any) {
	r.value(node, field, reflect.ValueOf(target).Elem())
}

func (r *reader) value(node *yaml.Node, field string, target reflect.Value) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if field != "" {
		r.lines[field] = node.Line
	}
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		// `go:` with nothing below it chooses the builder, with all its defaults.
		if target.Kind() == reflect.Pointer && target.Type().Elem().Kind() == reflect.Struct {
			target.Set(reflect.New(target.Type().Elem()))
			return
		}
		r.problem(field, "there is no value")
		return
	}
	if text, ok := target.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if node.Kind != yaml.ScalarNode {
			r.problem(field, "want one value, not %s", describe(node))
		} else if err := text.UnmarshalText([]byte(node.Value)); err != nil {
			r.problem(field, "%v", err)
		}
		return
	}
	switch target.Kind() {
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		r.value(node, field, target.Elem())
	case reflect.Struct:
		r.fields(node, field, target)
	case reflect.Slice:
		r.list(node, field, target)
	case reflect.Map:
		r.entries(node, field, target)
	default:
		r.scalar(node, field, target)
	}
}

// fields reads a mapping into a struct.
func (r *reader) fields(node *yaml.Node, field string, target reflect.Value) {
	if node.Kind != yaml.MappingNode {
		r.problem(field, "want fields, not %s", describe(node))
		return
	}
	known := map[string]reflect.Value{}
	var names []string
	for i := range target.NumField() {
		if name := target.Type().Field(i).Tag.Get("yaml"); name != "" {
			known[name] = target.Field(i)
			names = append(names, name)
		}
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		inner := join(field, key.Value)
		value, ok := known[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.lines[inner] = key.Line
			r.problem(inner, "a field's name must be a word")
		case !ok:
			r.lines[inner] = key.Line
			r.problem(inner, "there is no such field; there are %s", strings.Join(names, ", "))
		case seen[key.Value]:
			r.lines[inner] = key.Line
			r.problem(inner, "the field is there twice")
		default:
			seen[key.Value] = true
			r.value(node.Content[i+1], inner, value)
		}
	}
}

func (r *reader) list(node *yaml.Node, field string, target reflect.Value) {
	if node.Kind != yaml.SequenceNode {
		r.problem(field, "want a list, not %s", describe(node))
		return
	}
	list := reflect.MakeSlice(target.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		r.value(item, field+"["+strconv.Itoa(i)+"]", list.Index(i))
	}
	target.Set(list)
}

// entries reads a mapping of the user's own names to texts.
func (r *reader) entries(node *yaml.Node, field string, target reflect.Value) {
	if node.Kind != yaml.MappingNode {
		r.problem(field, "want names and values, not %s", describe(node))
		return
	}
	target.Set(reflect.MakeMap(target.Type()))
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		inner := join(field, key.Value)
		name := reflect.ValueOf(key.Value)
		if key.Kind != yaml.ScalarNode || key.Value == "" || target.MapIndex(name).IsValid() {
			r.lines[inner] = key.Line
			r.problem(inner, "a name must be a word, and be there once")
			continue
		}
		text := reflect.New(target.Type().Elem()).Elem()
		r.value(node.Content[i+1], inner, text)
		target.SetMapIndex(name, text)
	}
}

func (r *reader) scalar(node *yaml.Node, field string, target reflect.Value) {
	switch {
	case target.Kind() == reflect.String && node.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!int", "!!float"}, node.Tag):
		target.SetString(node.Value)
	case target.Kind() == reflect.String && node.Kind == yaml.ScalarNode && node.Tag == "!!bool":
		r.problem(field, "want a text; put %s in quotes", node.Value)
	case target.Kind() == reflect.String:
		r.problem(field, "want a text, not %s", describe(node))
	case target.Kind() == reflect.Bool && node.Tag == "!!bool" && (node.Value == "true" || node.Value == "false"):
		target.SetBool(node.Value == "true")
	case target.Kind() == reflect.Bool:
		r.problem(field, "want true or false, not %s", describe(node))
	default:
		r.problem(field, "slipway cannot read a %s", target.Kind()) // a mistake in this package, and a test looks for it
	}
}

func describe(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(node.Value)
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}
