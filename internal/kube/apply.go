package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Client applies, reads and deletes objects of any kind.
type Client struct {
	Dynamic dynamic.Interface
	Config  *rest.Config
	mapper  meta.ResettableRESTMapper
}

// NewClient returns a Client; it does no I/O until it is used.
func NewClient(config *rest.Config) (*Client, error) {
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the connection to the cluster: %w", err)
	}
	return &Client{Dynamic: objects, Config: config, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}, nil
}

// Resource returns the client for an object's kind, in its namespace ("default" when it names none and needs one).
// A kind that the cluster does not know is an error for which meta.IsNoMatchError is true.
func (c *Client) Resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset() // the kind may have been defined since
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("finding kind %s: %w", gvk.GroupKind(), err)
	}
	resource := c.Dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return resource, nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = "default"
	}
	return resource.Namespace(namespace), nil
}

// Apply writes an object with server-side apply, taking over fields that another manager set. It returns what the
// cluster made of it, and whether that differs from what was there before.
func (c *Client) Apply(ctx context.Context, object *unstructured.Unstructured, manager string) (*unstructured.Unstructured, bool, error) {
	resource, err := c.Resource(object)
	if err != nil {
		return nil, false, fmt.Errorf("applying %s: %w", Name(object), err)
	}
	before, err := resource.Get(ctx, object.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, false, fmt.Errorf("applying %s: %w", Name(object), err)
	}
	existed := err == nil
	after, err := resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return nil, false, fmt.Errorf("applying %s: %w", Name(object), err)
	}
	return after, !existed || before.GetResourceVersion() != after.GetResourceVersion(), nil
}

// Delete removes an object, and what it owns in the background; one that is not there, or whose kind is not
// known, is no error.
func (c *Client) Delete(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := c.Resource(object)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", Name(object), err)
	}
	background := metav1.DeletePropagationBackground
	if err := resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", Name(object), err)
	}
	return nil
}

// Name is how messages call an object: its kind, and its namespace and name.
func Name(object *unstructured.Unstructured) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return object.GetKind() + " " + namespace + "/" + object.GetName()
	}
	return object.GetKind() + " " + object.GetName()
}

// Decode reads a stream of YAML or JSON documents; empty ones are left out. The error of a document that does not
// parse says which it is, counting from 1.
func Decode(text []byte) ([]*unstructured.Unstructured, error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for document := 1; ; document++ {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); err != nil {
			if errors.Is(err, io.EOF) {
				return objects, nil
			}
			return nil, fmt.Errorf("reading document %d: %w", document, err)
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.GetKind() == "" || object.GetAPIVersion() == "" {
			return nil, fmt.Errorf("reading document %d: it has no apiVersion or no kind", document)
		}
		objects = append(objects, object)
	}
}
