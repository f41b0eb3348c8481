package realize

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Cluster is what realising needs of a cluster.
type Cluster interface {
	// Template reads a template. One that does not exist is an error for which apierrors.IsNotFound is true.
	Template(ctx context.Context, kind, name string) (*Template, error)
	// Render renders a template with what data holds, as template.Renderer does.
	Render(ctx context.Context, spec *v1alpha1.TemplateSpec, data map[string]any) (map[string]any, error)
	// Apply makes an object as it is given, with the identity of the workload, and returns what the cluster has
	// then. It writes only what differs.
	Apply(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Resource names a kind.
	Resource(kind schema.GroupVersionKind) (Resource, error)
}

// Resource is a kind as the API server serves it.
type Resource struct {
	// Name is plural.group, or the plural alone in the core group.
	Name string
	// Namespaced is false for kinds that belong to no namespace.
	Namespaced bool
}

// Template is a template of any kind.
type Template struct {
	Kind, Name string
	Spec       v1alpha1.TemplateSpec
	// Outputs are the outputs to read, in order; none for a ClusterTemplate.
	Outputs []OutputPath
}

// OutputPath is where in the stamped object an output is found.
type OutputPath struct {
	// Name is url, revision, image or config.
	Name string
	Path string
}

// Outputs of templates.
const (
	outputURL      = "url"
	outputRevision = "revision"
	outputImage    = "image"
	outputConfig   = "config"
)

// TemplateOf returns the template that object is. An object of another kind is an error.
func TemplateOf(object any) (*Template, error) {
	switch t := object.(type) {
	case *v1alpha1.ClusterSourceTemplate:
		return &Template{Kind: v1alpha1.KindClusterSourceTemplate, Name: t.Name, Spec: t.Spec.TemplateSpec, Outputs: []OutputPath{
			{Name: outputURL, Path: t.Spec.URLPath}, {Name: outputRevision, Path: t.Spec.RevisionPath},
		}}, nil
	case *v1alpha1.ClusterImageTemplate:
		return &Template{Kind: v1alpha1.KindClusterImageTemplate, Name: t.Name, Spec: t.Spec.TemplateSpec, Outputs: []OutputPath{
			{Name: outputImage, Path: t.Spec.ImagePath},
		}}, nil
	case *v1alpha1.ClusterConfigTemplate:
		return &Template{Kind: v1alpha1.KindClusterConfigTemplate, Name: t.Name, Spec: t.Spec.TemplateSpec, Outputs: []OutputPath{
			{Name: outputConfig, Path: t.Spec.ConfigPath},
		}}, nil
	case *v1alpha1.ClusterTemplate:
		return &Template{Kind: v1alpha1.KindClusterTemplate, Name: t.Name, Spec: t.Spec}, nil
	default:
		return nil, fmt.Errorf("%T is not a template", object)
	}
}

// lifecycle is the template's, where none means mutable.
func (t *Template) lifecycle() string {
	if t.Spec.Lifecycle == "" {
		return v1alpha1.LifecycleMutable
	}
	return t.Spec.Lifecycle
}
