package appfile_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"slipway.dev/slipway/internal/appfile"
)

var update = flag.Bool("update", false, "write the schema anew")

// docs/slipway.schema.json is what editors are pointed to; it is the schema of the types.
func TestSchemaIsInTheDocs(t *testing.T) {
	want, err := appfile.Schema()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "..", "docs", "slipway.schema.json")
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/slipway.schema.json is not the schema: go test ./internal/appfile -update")
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	content, err := appfile.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("app.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("app.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// What the schema accepts and refuses is what Parse does, as far as a schema can say it.
func TestSchemaAgreesWithParse(t *testing.T) {
	schema := compile(t)
	for content, good := range map[string]bool{
		head: true,
		head + "build: {go: {main: ./cmd/a, env: {A: 1}}}\nports: [80, \"81:82\"]\nsync: [{from: a, to: /b}, {binary: true}]\n": true,
		head + "build: {static: }\n": true,
		head + "build: {command: {run: [make], image: {entrypoint: [/a]}}}\nignore: [a]\n": true,
		"kind: App\n":                                   false,
		head + "bild: {}\n":                             false,
		head + "build: {go: {}, static: {}}\n":          false,
		head + "build: {go: {mian: a}}\n":               false,
		head + "build: {command: {}}\n":                 false,
		head + "build: {command: }\n":                   false,
		head + "ports: [0]\n":                           false,
		head + "ports: [a]\n":                           false,
		head + "ports: 80\n":                            false,
		head + "build: {static: {spa: 1}}\n":            false,
		head + "build: {dockerfile: {secrets: [{}]}}\n": false,
		head + "ignore: {}\n":                           false,
		"apiVersion: slipway.dev/v9\nkind: App\n":       false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(content), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); (err == nil) != good {
			t.Errorf("the schema says %v of\n%s", err, content)
		}
		if _, err := appfile.Parse("slipway.yaml", []byte(content)); (err == nil) != good {
			t.Errorf("Parse says %v of\n%s", err, content)
		}
	}
}

func TestSchemaDescribesEverything(t *testing.T) {
	var walk func(where string, schema map[string]any)
	content, err := appfile.Schema()
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(content, &root); err != nil {
		t.Fatal(err)
	}
	walk = func(where string, schema map[string]any) {
		if text, _ := schema["description"].(string); text == "" {
			t.Errorf("%s is not described", where)
		}
		if items, ok := schema["items"].(map[string]any); ok {
			schema = items
		}
		properties, _ := schema["properties"].(map[string]any)
		for name, inner := range properties {
			walk(where+"."+name, inner.(map[string]any))
		}
	}
	walk("app", root)
}
