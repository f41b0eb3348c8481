package template

import (
	"fmt"
	"strings"

	ytt "carvel.dev/ytt/pkg/template"
	"carvel.dev/ytt/pkg/yamlmeta"
	"github.com/k14s/starlark-go/syntax"
	"k8s.io/client-go/util/jsonpath"
)

// Expressions returns the paths of the $(...)$ in a text, as Render reads them. open says that there is a $( without
// its end, which Render leaves as it is.
func Expressions(text string) (paths []string, open bool) {
	if path, ok := soleTag(text); ok {
		return []string{path}, false
	}
	for {
		_, rest, found := strings.Cut(text, tagStart)
		if !found {
			return paths, false
		}
		path, after, found := strings.Cut(rest, tagEnd)
		if !found {
			return paths, true
		}
		paths, text = append(paths, path), after
	}
}

// CheckPath returns why Lookup could not read a path from anything; nil when it can.
func CheckPath(path string) error {
	_, err := parsePath(path)
	return err
}

// LeadingFields returns the names of fields with which a path begins, up to the first index, filter or wildcard, and
// whether they are the whole path. It returns nil for a path that cannot be parsed.
func LeadingFields(path string) (fields []string, whole bool) {
	if CheckPath(path) != nil {
		return nil, false
	}
	parsed, err := jsonpath.Parse("", braced(path))
	if err != nil || len(parsed.Root.Nodes) != 1 {
		return nil, false
	}
	action, ok := parsed.Root.Nodes[0].(*jsonpath.ListNode)
	if !ok {
		return nil, false
	}
	for _, node := range action.Nodes {
		field, ok := node.(*jsonpath.FieldNode)
		if !ok {
			return fields, false
		}
		if field.Value != "" { // as in {.}
			fields = append(fields, field.Value)
		}
	}
	return fields, true
}

// CheckYtt returns what of a ytt template cannot be read, before any values are known: YAML that is none, annotations
// that are none, and code that is none. The error has ytt's own form.
func CheckYtt(text string) error {
	yttSlot <- struct{}{}
	defer func() { <-yttSlot }()
	_, err := yamlmeta.NewDocumentSetFromBytes([]byte(text), yamlmeta.DocSetOpts{AssociatedName: yttFile})
	if err == nil {
		err = parseYtt(text)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("unable to apply ytt template: %w", yttError(err))
}

// parseYtt compiles a template and parses its code. The parser panics with what is wrong.
func parseYtt(text string) (err error) {
	var template *yttTemplate
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
			if wrong, ok := r.(error); ok && template != nil {
				err = ytt.NewCompiledTemplateMultiError(wrong, ytt.NewNoopCompiledTemplateLoader(template.compiled))
			}
		}
	}()
	template, err = compileYtt(text)
	if err != nil || template.compiled == nil {
		return err
	}
	if _, err := syntax.Parse(yttFile, template.compiled.CodeAsString(), syntax.BlockScanner); err != nil {
		return ytt.NewCompiledTemplateMultiError(err, ytt.NewNoopCompiledTemplateLoader(template.compiled))
	}
	return nil
}
