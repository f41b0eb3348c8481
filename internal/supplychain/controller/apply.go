package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
)

const (
	fieldManager = "slipway-supplychain"
	// annotationHash names what was applied, so that nothing is written while nothing changes, whoever runs.
	annotationHash = "slipway.dev/applied-hash"
	// annotationAccount names the service account that stamped an object, which is asked to delete it when no
	// supply chain is left to name one.
	annotationAccount = "slipway.dev/service-account"
)

// cluster is the cluster as one owner may see and change it.
type cluster struct {
	templates client.Reader
	renderer  *template.Renderer
	stamped   *stampedObjects
	identity  *identity.Identity
	owner     client.Object
	// kind is the owner's, as users call it.
	kind string
	// applied gets an event for each object that was written.
	applied []realize.Event
	// left is why objects are still there that are not kept; nil where there are none.
	left error
	// before is what was stamped for the owner when it was looked at last.
	before []v1alpha1.ResourceStatus
	// attention is what the objects need of which no watch tells.
	attention attention
}

var _ realize.Cluster = (*cluster)(nil)

// newTemplate returns an empty template of a kind, nil for a kind that is none.
func newTemplate(kind string) client.Object {
	switch kind {
	case v1alpha1.KindClusterSourceTemplate:
		return &v1alpha1.ClusterSourceTemplate{}
	case v1alpha1.KindClusterImageTemplate:
		return &v1alpha1.ClusterImageTemplate{}
	case v1alpha1.KindClusterConfigTemplate:
		return &v1alpha1.ClusterConfigTemplate{}
	case v1alpha1.KindClusterDeploymentTemplate:
		return &v1alpha1.ClusterDeploymentTemplate{}
	case v1alpha1.KindClusterTemplate:
		return &v1alpha1.ClusterTemplate{}
	default:
		return nil
	}
}

// Template reads a template from the controller's cache.
func (c *cluster) Template(ctx context.Context, kind, name string) (*realize.Template, error) {
	object := newTemplate(kind)
	if object == nil {
		return nil, apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: kind}, name)
	}
	if err := c.templates.Get(ctx, types.NamespacedName{Name: name}, object); err != nil {
		return nil, err
	}
	return realize.TemplateOf(object)
}

// Render renders a template.
func (c *cluster) Render(ctx context.Context, spec *v1alpha1.TemplateSpec, data map[string]any) (map[string]any, error) {
	return c.renderer.Render(ctx, spec, data)
}

// Resource names a kind.
func (c *cluster) Resource(kind schema.GroupVersionKind) (realize.Resource, error) {
	mapping, err := c.stamped.mapping(kind)
	if err != nil {
		return realize.Resource{}, err
	}
	resource := realize.Resource{Name: mapping.Resource.GroupResource().String(), Namespaced: namespaced(mapping)}
	if c.stamped.access.refuses(mapping.Resource) {
		resource.Note = unwatched(mapping.Resource)
		resource.Account = &v1alpha1.ServiceAccountRef{Namespace: c.identity.Account.Namespace, Name: c.identity.Account.Name}
	}
	return resource, nil
}

func namespaced(mapping *meta.RESTMapping) bool {
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace
}

// Apply writes object if the cluster has not got it, or has it otherwise.
func (c *cluster) Apply(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	mapping, err := c.stamped.mapping(object.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	wanted, hash, err := c.prepare(object, mapping)
	if err != nil {
		return nil, err
	}
	live, err := c.cached(ctx, mapping, wanted)
	if err != nil {
		return nil, err
	}
	if live == nil {
		written, err := c.create(ctx, mapping, wanted)
		if err == nil {
			return c.wrote(nil, written, hash, mapping), nil
		}
		if !taken(err) {
			return nil, err
		}
		if live, err = c.read(ctx, mapping, wanted); err != nil {
			return nil, err
		}
	}
	return c.change(ctx, mapping, live, wanted, hash)
}

// change writes wanted over live, if that is this owner's and otherwise than wanted.
func (c *cluster) change(ctx context.Context, mapping *meta.RESTMapping, live, wanted *unstructured.Unstructured, hash string) (*unstructured.Unstructured, error) {
	if err := c.mayWrite(live); err != nil {
		return nil, err
	}
	if live.GetAnnotations()[annotationHash] == hash && (holds(live.Object, wanted.Object) || c.stamped.settled(live, hash)) {
		return live, nil
	}
	// Should the object be replaced by another of its name meanwhile, the API server refuses.
	wanted.SetUID(live.GetUID())
	written, err := c.put(ctx, mapping, live, wanted)
	if err != nil {
		return nil, err
	}
	return c.wrote(live, written, hash, mapping), nil
}

// wrote notes a write, and returns what came of it.
func (c *cluster) wrote(live, written *unstructured.Unstructured, hash string, mapping *meta.RESTMapping) *unstructured.Unstructured {
	written.SetManagedFields(nil)
	if !c.stamped.wrote(written, hash, mapping.Resource) {
		c.attention = max(c.attention, attentionFor(written))
	}
	c.tell(live, written, mapping)
	return written
}

// prepare returns what to send, and its hash.
func (c *cluster) prepare(object *unstructured.Unstructured, mapping *meta.RESTMapping) (*unstructured.Unstructured, string, error) {
	content, ok := withoutNulls(object.Object).(map[string]any)
	if !ok {
		return nil, "", errors.New("the object is empty")
	}
	wanted := &unstructured.Unstructured{Object: content}
	if !namespaced(mapping) {
		wanted.SetNamespace("")
	}
	annotations := wanted.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	delete(annotations, annotationHash)
	delete(annotations, annotationMerged)
	annotations[annotationAccount] = c.identity.Account.String()
	wanted.SetAnnotations(annotations)
	hash := digest(wanted.Object)
	annotations[annotationHash] = hash
	wanted.SetAnnotations(annotations)
	return wanted, hash, nil
}

func (c *cluster) at(mapping *meta.RESTMapping, namespace string) dynamic.ResourceInterface {
	resource := c.identity.Client.Resource(mapping.Resource)
	if namespaced(mapping) {
		return resource.Namespace(namespace)
	}
	return resource
}

// cached returns what the watch knows of an object, nil for nothing: it knows all that carries the label of stamped
// objects. Where there is none the API server is asked, as the owner's service account.
func (c *cluster) cached(ctx context.Context, mapping *meta.RESTMapping, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	informer, err := c.stamped.watch(ctx, mapping.Resource)
	if err != nil {
		return nil, err
	}
	if informer == nil {
		c.attention = max(c.attention, attentionFor(wanted))
		if !c.stampedBefore(wanted) {
			return nil, nil // should it be there all the same, creating it tells
		}
		found, err := c.at(mapping, wanted.GetNamespace()).Get(ctx, wanted.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("failed to get unstructured [%s/%s] from api server: %w", wanted.GetNamespace(), wanted.GetName(), err)
		}
		return found, nil
	}
	if found := c.stamped.cached(informer, wanted.GetNamespace(), wanted.GetName()); found != nil {
		return found.DeepCopy(), nil
	}
	return nil, nil
}

// stampedBefore says whether an object was stamped for the owner when it was looked at last.
func (c *cluster) stampedBefore(object *unstructured.Unstructured) bool {
	kind := object.GroupVersionKind()
	return slices.ContainsFunc(c.before, func(resource v1alpha1.ResourceStatus) bool {
		ref := resource.StampedRef
		return ref != nil && ref.Name == object.GetName() && ref.Kind == kind.Kind && schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).Group == kind.Group
	})
}

// read returns what the API server has: the watch does not know what carries no label, or not yet what was made last.
func (c *cluster) read(ctx context.Context, mapping *meta.RESTMapping, wanted *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	found, err := c.at(mapping, wanted.GetNamespace()).Get(ctx, wanted.GetName(), metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("failed to get unstructured [%s/%s] from api server: %w", wanted.GetNamespace(), wanted.GetName(), err)
	}
	return found, nil
}

// mayWrite: what another controls is left alone, and so is what nobody controls unless it was stamped for this owner: an
// owner that was deleted without its objects gets them back when it is made again.
func (c *cluster) mayWrite(live *unstructured.Unstructured) error {
	owner := metav1.GetControllerOf(live)
	switch {
	case owner == nil && c.stamped.ownerOf(live) == client.ObjectKeyFromObject(c.owner):
		return nil
	case owner == nil:
		return fmt.Errorf("%s [%s] exists and was not stamped for this %s: it is left as it is", live.GetKind(), live.GetName(), c.kind)
	case owner.UID == c.owner.GetUID():
		return nil
	}
	return fmt.Errorf("%s [%s] exists and is controlled by %s [%s] (uid %s), not by this %s: it is left as it is",
		live.GetKind(), live.GetName(), owner.Kind, owner.Name, owner.UID, c.kind)
}

func (c *cluster) tell(live, written *unstructured.Unstructured, mapping *meta.RESTMapping) {
	verb := "Created"
	if live != nil {
		if live.GetResourceVersion() == written.GetResourceVersion() {
			return // the API server found nothing to change
		}
		verb = "Patched"
	}
	c.note(realize.EventStampedObjectApplied, "%s object [%s/%s]", verb, mapping.Resource.GroupResource(), written.GetName())
}
