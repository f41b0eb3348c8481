package appfile

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Schema returns the JSON schema (draft 2020-12) of slipway.yaml, for editors. It is made from the same types that
// Parse reads into; Parse also checks what a schema cannot say well.
func Schema() ([]byte, error) {
	root := schemaOf(reflect.TypeFor[App]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://slipway.dev/schema/v1alpha1/app.json"
	root["title"] = Name
	root["description"] = "How slipway builds and runs the app in this folder."
	root["required"] = []string{"apiVersion", "kind"}
	properties := root["properties"].(map[string]any)
	properties["apiVersion"].(map[string]any)["const"] = APIVersion
	properties["kind"].(map[string]any)["const"] = Kind
	properties["build"].(map[string]any)["maxProperties"] = 1
	content, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("making the schema: %w", err)
	}
	return append(content, '\n'), nil
}

// required are fields without which the one around them means nothing.
var required = map[reflect.Type][]string{
	reflect.TypeFor[Command](): {"run"},
	reflect.TypeFor[Secret]():  {"id"},
}

func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[Port]():
		return map[string]any{"oneOf": []any{
			map[string]any{"type": "integer", "minimum": 1, "maximum": 65535},
			map[string]any{"type": "string", "pattern": "^([1-9][0-9]{0,4}:)?[1-9][0-9]{0,4}$"},
		}}
	case t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct:
		inner := schemaOf(t.Elem())
		if len(required[t.Elem()]) == 0 {
			inner["type"] = []string{"object", "null"} // nothing below it means all its defaults
		}
		return inner
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem())
	case t.Kind() == reflect.Struct:
		return objectSchema(t)
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case t.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case t.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	}
	return map[string]any{"type": []string{"string", "number"}}
}

func objectSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for i := range t.NumField() {
		field := t.Field(i)
		name := field.Tag.Get("yaml")
		if name == "" {
			continue
		}
		inner := schemaOf(field.Type)
		inner["description"] = field.Tag.Get("doc")
		properties[name] = inner
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if names := required[t]; len(names) > 0 {
		schema["required"] = names
	}
	return schema
}
