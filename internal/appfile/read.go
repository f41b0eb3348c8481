package appfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"slipway.dev/slipway/internal/hint"
)

// mostBytes is more than anybody writes by hand, and little enough to parse at once.
const mostBytes = 1 << 20

// Problem is one mistake in the file.
type Problem struct {
	File  string // as it was given
	Line  int    // from 1; 0 when the file as a whole is meant
	Field string // such as build.go.main, or sync[0].to; "" when it is none in particular
	Text  string
}

func (p *Problem) Error() string {
	where := p.File
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	if p.Field != "" {
		where += ": " + p.Field
	}
	return where + ": " + p.Text
}

// Load reads slipway.yaml in a folder. Without the file it is an empty App: everything is found out, or is as it is
// by default.
func Load(dir string) (*App, error) {
	file := filepath.Join(dir, Name)
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if other := filepath.Join(dir, "slipway.yml"); exists(other) {
			return nil, hint.Withf(fmt.Errorf("%s is not read", other), "rename it to %s", Name)
		}
		return &App{APIVersion: APIVersion, Kind: Kind}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the app's file: %w", err)
	}
	app, err := Parse(file, content)
	if err != nil {
		return nil, err
	}
	app.path = file
	return app, nil
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Parse reads the content of a slipway.yaml; name is what errors call it. It is strict: unknown and repeated fields,
// values of the wrong type and paths that lead out of the folder are errors. All *Problems are in the error's tree.
func Parse(name string, content []byte) (*App, error) {
	const advice = "`slipway init --schema` prints what the file may say, and docs/slipway-yaml.md explains it"
	if len(content) > mostBytes {
		return nil, &Problem{File: name, Text: fmt.Sprintf("the file is longer than %d bytes", mostBytes)}
	}
	root, err := document(content)
	if err != nil {
		return nil, hint.With(fmt.Errorf("%s: %w", name, err), advice)
	}
	r := &reader{file: name, lines: map[string]int{}}
	app := &App{}
	if root != nil {
		r.lines[""] = root.Line
		r.read(root, "", app)
	}
	if len(r.problems) == 0 {
		r.check(app)
	}
	if len(r.problems) > 0 {
		return nil, hint.With(errors.Join(r.problems...), advice)
	}
	return app, nil
}

// document parses YAML that is one document; an empty one is nil.
func document(content []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("line %d: a second document begins, and there can be only one", second.Line)
	}
	if first.Kind != yaml.DocumentNode || len(first.Content) != 1 {
		return nil, errors.New("this is not a YAML document")
	}
	return first.Content[0], nil
}
