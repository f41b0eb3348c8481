package bootstrap

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestItemIsTheObjectAgain(t *testing.T) {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "n", "name": "d", "labels": map[string]any{"a": "b"}},
	}}
	i := itemOf(object)
	if i != (item{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "n", Name: "d"}) {
		t.Errorf("itemOf() = %+v", i)
	}
	if itemOf(i.object()) != i {
		t.Errorf("item.object() = %+v", i.object())
	}
}
