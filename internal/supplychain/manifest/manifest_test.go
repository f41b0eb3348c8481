package manifest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplit(t *testing.T) {
	var got []string
	for _, document := range Split([]byte("# first\n---\na: |\n  ---\n  x\n\n---\n# nothing\n--- # note\nb: 1\n--- {c: 1}\n---\n")) {
		got = append(got, fmt.Sprintf("%d %q", document.Line, document.Data))
	}
	want := []string{`3 "a: |\n  ---\n  x\n\n"`, `10 "b: 1\n"`, `11 " {c: 1}\n"`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecode(t *testing.T) {
	for document, want := range map[string]string{
		"{apiVersion: carto.run/v1alpha1, kind: Workload, metadata: {name: x}, spec: {image: app}}":                 "",
		"{apiVersion: carto.run/v1alpha1, kind: ClusterRunTemplate, metadata: {name: x}, spec: {template: {a: 1}}}": "",
		"{apiVersion: carto.run/v1alpha1, kind: Workload, spec: {imagee: app}}":                                     `unknown field "spec.imagee"`,
		"{apiVersion: carto.run/v1alpha1, kind: Nothing}":                                                           `has no kind "Nothing"`,
		"{apiVersion: v1, kind: Secret}":                                                                            "it is no object of carto.run/v1alpha1",
		"a: [":                                                                                                      "yaml",
	} {
		_, err := Decode([]byte(document))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", document, err, want)
		}
	}
	if _, err := Decode([]byte("kind: X")); !errors.Is(err, ErrForeign) {
		t.Errorf("error %v, want ErrForeign", err)
	}
}
