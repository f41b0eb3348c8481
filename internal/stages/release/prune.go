package release

import (
	"context"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// prune deletes what the inventory has and the members have not, last applied first, and only what is of this set still.
func (r *reconciler) prune(ctx context.Context, api dynamic.Interface, release *v1alpha1.Release, leftovers []v1alpha1.ReleasedObject) error {
	for _, name := range slices.Backward(leftovers) {
		found, resources, err := r.find(ctx, api, name)
		if err != nil {
			return err
		}
		if found == nil || found.GetLabels()[labelPartOf] != idOf(release) {
			continue // it is gone, or was given to somebody else
		}
		uid, background := found.GetUID(), metav1.DeletePropagationBackground
		err = resources.Delete(ctx, name.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return refused(name, err)
		}
		r.log.Info("object pruned", "release", release.Namespace+"/"+release.Name, "object", called(name))
	}
	return nil
}

// find returns an object of an inventory, nil when it is not there. The version under which it was applied may be served no
// more; then it is there under another one.
func (r *reconciler) find(ctx context.Context, api dynamic.Interface, name v1alpha1.ReleasedObject) (*unstructured.Unstructured, dynamic.ResourceInterface, error) {
	var resources []schema.GroupVersionResource
	mapping, err := r.mapper.RESTMapping(schema.GroupKind{Group: name.Group, Kind: name.Kind}, name.Version)
	switch {
	case err == nil:
		resources = append(resources, mapping.Resource)
	case !meta.IsNoMatchError(err):
		return nil, nil, fmt.Errorf("asking for kind %s: %w", name.Kind, err)
	}
	for asked := false; ; {
		for _, resource := range resources {
			in := target{resource: resource, name: name}.in(api)
			found, err := in.Get(ctx, name.Name, metav1.GetOptions{})
			switch {
			case err == nil:
				return found, in, nil
			case apierrors.IsNotFound(err) && !notServed(err):
				return nil, nil, nil
			case !apierrors.IsNotFound(err):
				return nil, nil, refused(name, err)
			}
		}
		if asked {
			return nil, nil, nil // with its kind it is gone
		}
		// The mapper keeps versions that are served no more.
		if resources, err = r.served(name); err != nil {
			return nil, nil, fmt.Errorf("asking for kind %s: %w", name.Kind, err)
		}
		asked = true
	}
}

// notServed says whether an answer is that there is no such resource, rather than no such object.
func notServed(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// served asks the API server under which versions it serves a kind now, the preferred one first.
func (r *reconciler) served(name v1alpha1.ReleasedObject) ([]schema.GroupVersionResource, error) {
	groups, err := r.discovery.ServerGroups()
	if err != nil {
		return nil, err
	}
	var found []schema.GroupVersionResource
	for _, group := range groups.Groups {
		if group.Name != name.Group {
			continue
		}
		for _, version := range group.Versions {
			resources, err := r.discovery.ServerResourcesForGroupVersion(version.GroupVersion)
			if apierrors.IsNotFound(err) {
				continue // it has just gone
			}
			if err != nil {
				return nil, err
			}
			for _, resource := range resources.APIResources {
				if resource.Kind == name.Kind && !strings.Contains(resource.Name, "/") {
					found = append(found, schema.GroupVersionResource{Group: name.Group, Version: version.Version, Resource: resource.Name})
				}
			}
		}
	}
	return found, nil
}
