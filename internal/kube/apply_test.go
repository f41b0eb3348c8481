package kube_test

import (
	"strings"
	"testing"

	"slipway.dev/slipway/internal/kube"
)

func TestDecode(t *testing.T) {
	objects, err := kube.Decode([]byte("# a comment\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\n{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {\"name\": \"b\", \"namespace\": \"n\"}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, kube.Name(object))
	}
	if got, want := strings.Join(names, ", "), "ConfigMap a, Secret n/b"; got != want {
		t.Errorf("Decode() = %s, want %s", got, want)
	}
}

func TestDecodeSaysWhichDocument(t *testing.T) {
	for _, text := range []string{"apiVersion: v1\nkind: X\n---\nfoo: [", "apiVersion: v1\nkind: X\n---\nfoo: bar\n"} {
		if _, err := kube.Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), "document 2") {
			t.Errorf("Decode(%q): error = %v, want one that names document 2", text, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: v1\nkind: X\n---\n"))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, err := kube.Decode(text)
		if err != nil {
			return
		}
		for _, object := range objects {
			if object.GetKind() == "" || object.GetAPIVersion() == "" {
				t.Errorf("Decode(%q) gave an object without a kind", text)
			}
		}
	})
}
