package templatetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway.dev/slipway/internal/supplychain/template"
)

// Result is what came of a case.
type Result struct {
	// Dir is the case's folder.
	Dir string
	// Name and Description are the folder's own words about it, and may be empty.
	Name, Description string
	// Focused : the case, or a folder above it, has focus: true.
	Focused bool
	// Err is why the case failed, nil where it passed. A *Difference shows expected and actual.
	Err error
}

// Run runs the cases below dir, each a folder without folders in it, in the order of their names; hidden ones
// are passed over. Where any of them is
// focused, the others are left out. An error means that the folders cannot be read, or hold no case.
func Run(ctx context.Context, dir string) ([]Result, error) {
	var cases []testCase
	if err := collect(dir, settings{}, &cases); err != nil {
		return nil, err
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("%s holds no tests", dir)
	}
	focused := false
	for _, c := range cases {
		focused = focused || c.focus
	}
	renderer := template.NewRenderer()
	var results []Result
	for _, c := range cases {
		if err := ctx.Err(); err != nil {
			return results, err
		}
		if focused && !c.focus {
			continue
		}
		err := c.err
		if err == nil {
			err = c.run(ctx, renderer)
		}
		results = append(results, Result{Dir: c.dir, Name: c.name, Description: c.description, Focused: c.focus, Err: err})
	}
	return results, nil
}

// testCase is a folder with what holds for it.
type testCase struct {
	settings

	dir string
	err error // why the folder's settings cannot be used
}

// collect walks the folders.
func collect(dir string, above settings, cases *[]testCase) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	own, broken := above.within(dir)
	leaf := true
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if !entry.IsDir() || strings.HasPrefix(entry.Name(), ".") { // a link to a folder is none: it might lead in circles
			continue
		}
		leaf = false
		if broken != nil {
			continue
		}
		if err := collect(path, own, cases); err != nil {
			return err
		}
	}
	if leaf || broken != nil {
		*cases = append(*cases, testCase{settings: own, dir: dir, err: broken})
	}
	return nil
}

// run renders the template and compares.
func (c testCase) run(ctx context.Context, renderer *template.Renderer) error {
	for _, needed := range []struct{ path, name, key string }{
		{c.template, templateFile, "given.template.path"}, {c.workload, workloadFile, "given.workload"}, {c.expected, expectedFile, "expected"},
	} {
		if needed.path == "" {
			return fmt.Errorf("there is no %s, neither here nor above, and %s names no other file", needed.name, needed.key)
		}
	}
	if c.mock != nil && len(c.chains) > 0 {
		return errors.New("there is a mockSupplyChain and a supply chain: one of them must go")
	}
	actual, err := c.render(ctx, renderer)
	if err != nil {
		return err
	}
	expected, err := readObject(c.expected)
	if err != nil {
		return err
	}
	return c.compare.difference(expected, actual.Object)
}
