package release

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecode(t *testing.T) {
	objects, err := decode([]byte(`
# nothing but words
---
apiVersion: e.com/v1
kind: Counter
metadata: {name: a}
spec: {large: 9007199254740993, some: 1.5}
---
{"apiVersion": "e.com/v1", "kind": "Shelf", "metadata": {"name": "b"}, "items": ["x"]}
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: d}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range objects {
		names = append(names, object.GetName())
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"large": int64(9007199254740993), "some": 1.5}, objects[0].Object["spec"]); diff != "" {
		t.Error(diff)
	}
}
