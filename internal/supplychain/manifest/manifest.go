// Package manifest reads objects of carto.run from YAML, as strictly as their authors would want it: a field that does
// not exist is an error. It applies no rules beyond the types; those are in admission and lint.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	strictjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Document is one document of a YAML file.
type Document struct {
	// Line is where it begins, counted from 1.
	Line int
	Data []byte
}

// ErrForeign is what Decode returns for an object of another group, or another version of it.
var ErrForeign = errors.New("it is no object of " + v1alpha1.GroupVersion.String())

// Split returns the documents of a file, without those that hold nothing but comments. A list, as kubectl prints it, is
// replaced by its items.
func Split(data []byte) []Document {
	var all []Document
	for _, document := range split(data) {
		all = append(all, items(document)...)
	}
	return all
}

// items returns the items of a list, and anything else as it is.
func items(document Document) []Document {
	if !bytes.Contains(document.Data, []byte("items")) {
		return []Document{document}
	}
	var list struct {
		metav1.TypeMeta `json:",inline"`

		Items []json.RawMessage `json:"items"`
	}
	if err := yaml.Unmarshal(document.Data, &list); err != nil || list.APIVersion != "v1" || list.Kind != "List" {
		return []Document{document}
	}
	all := make([]Document, 0, len(list.Items))
	for _, item := range list.Items {
		all = append(all, Document{Line: document.Line, Data: item})
	}
	return all
}

func split(data []byte) []Document {
	var documents []Document
	current := Document{Line: 1}
	content := false
	add := func() {
		if content {
			documents = append(documents, current)
		}
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := bytes.TrimRight(line, " \t\r\n")
		if bytes.Equal(text, []byte("---")) || bytes.HasPrefix(text, []byte("--- ")) {
			add()
			current, content = Document{Line: number + 1}, false
			if rest := text[3:]; len(bytes.TrimSpace(rest)) > 0 && bytes.TrimSpace(rest)[0] != '#' {
				current, content = Document{Line: number, Data: append(bytes.Clone(rest), '\n')}, true
			}
			continue
		}
		if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] != '#' {
			content = true
		}
		current.Data = append(current.Data, line...)
	}
	add()
	return documents
}

// Decode returns the object of a document: a pointer to a type of v1alpha1. An object of something else is ErrForeign;
// a kind that the group does not have is another error. Where the kind does not have a field that is set, or one is set
// twice, the error comes with the object.
func Decode(document []byte) (runtime.Object, error) {
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return nil, err
	}
	if kind.APIVersion != v1alpha1.GroupVersion.String() {
		return nil, ErrForeign
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	object, err := scheme.New(v1alpha1.GroupVersion.WithKind(kind.Kind))
	if err != nil {
		return nil, fmt.Errorf("%s has no kind %q", kind.APIVersion, kind.Kind)
	}
	encoded, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	strict, err := strictjson.UnmarshalStrict(encoded, object)
	if err != nil {
		return nil, err
	}
	return object, errors.Join(strict...)
}
