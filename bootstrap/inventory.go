package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
)

// inventoryConfigMap lists what `up` put into the cluster. It is in the cluster, where what it lists is.
const inventoryConfigMap = "slipway-inventory"

// item names an object that was put in.
type item struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
}

func itemOf(object *unstructured.Unstructured) item {
	return item{APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName()}
}

func (i item) object() *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(i.APIVersion)
	object.SetKind(i.Kind)
	object.SetNamespace(i.Namespace)
	object.SetName(i.Name)
	return object
}

// inventory compares what was put in earlier with what this run puts in. Nothing is put in before it is listed, so
// that a run that dies leaves no object that a later one would not know.
type inventory struct {
	mutex   sync.Mutex
	before  map[item]bool // listed in the cluster
	current map[item]bool // put in by this run
}

// load reads the list of earlier runs; none is an empty one.
func (v *inventory) load(ctx context.Context, client *kube.Client) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.before, v.current = map[item]bool{}, map[item]bool{}
	found, err := client.Dynamic.Resource(configMaps).Namespace(environment.Namespace).Get(ctx, inventoryConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what is installed: %w", err)
	}
	text, _, _ := unstructured.NestedString(found.Object, "data", "objects")
	for line := range strings.Lines(text) {
		var i item
		if err := json.Unmarshal([]byte(line), &i); err != nil {
			return fmt.Errorf("reading what is installed: ConfigMap %s/%s: %w", environment.Namespace, inventoryConfigMap, err)
		}
		v.before[i] = true
	}
	return nil
}

// announce lists objects that are about to be put in. The namespace of the list itself is put in unlisted: it goes
// with the cluster.
func (v *inventory) announce(ctx context.Context, client *kube.Client, objects []*unstructured.Unstructured) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	added := false
	for _, object := range objects {
		if object.GetKind() == "Namespace" {
			continue
		}
		i := itemOf(object)
		v.current[i] = true
		if !v.before[i] {
			v.before[i] = true
			added = true
		}
	}
	if !added {
		return nil
	}
	return write(ctx, client, v.before)
}

// save lists exactly what this run put in.
func (v *inventory) save(ctx context.Context, client *kube.Client) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if maps.Equal(v.before, v.current) {
		return nil
	}
	v.before = maps.Clone(v.current)
	return write(ctx, client, v.current)
}

// prune deletes what is listed and was not put in by this run, and returns how many objects that were. CRDs stay: to
// delete one is to delete every object of its kind, the user's too.
func (v *inventory) prune(ctx context.Context, client *kube.Client, say func(*unstructured.Unstructured)) (int, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	count := 0
	var errs []error
	for i := range v.before {
		if v.current[i] || i.Kind == "CustomResourceDefinition" {
			continue
		}
		object := i.object()
		say(object)
		if err := client.Delete(ctx, object); err != nil {
			errs = append(errs, err)
			v.current[i] = true // still there: the next run tries again
			continue
		}
		count++
	}
	return count, errors.Join(errs...)
}

func write(ctx context.Context, client *kube.Client, items map[item]bool) error {
	var lines []string
	for i := range items {
		lines = append(lines, mustJSON(i)+"\n")
	}
	slices.Sort(lines)
	object := configMap(environment.Namespace, inventoryConfigMap, map[string]any{"objects": strings.Join(lines, "")})
	if _, _, err := client.Apply(ctx, object, environment.FieldManager); err != nil {
		return fmt.Errorf("noting what is installed: %w", err)
	}
	return nil
}
