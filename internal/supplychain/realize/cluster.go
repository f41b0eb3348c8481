package realize

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// Apply makes an object as it is given, with the identity of the owner, and returns what the cluster has
	// then. It writes only what differs.
	Apply(ctx context.Context, object *unstructured.Unstructured) (*unstructured.Unstructured, error)
	// Generate makes an object beside its siblings, with the identity of the owner, unless the newest of them is what
	// is asked for. It returns them all, newest first, as the cluster has them then.
	Generate(ctx context.Context, next Generation) ([]*unstructured.Unstructured, error)
	// Resource names a kind.
	Resource(kind schema.GroupVersionKind) (Resource, error)
}

// Resource is a kind as the API server serves it.
type Resource struct {
	// Name is plural.group, or the plural alone in the core group.
	Name string
	// Namespaced is false for kinds that belong to no namespace.
	Namespaced bool
	// Note is what users should know about objects of the kind; "" for nothing.
	Note string
	// Account is the service account to publish beside an object of the kind; nil for none.
	Account *v1alpha1.ServiceAccountRef
}

// Generation is an object that is not changed once it is made, but followed by another.
type Generation struct {
	Object *unstructured.Unstructured
	// Siblings are the labels that all objects that were made for the same purpose have.
	Siblings map[string]string
	// Retention says how many of them to keep by their health.
	Retention v1alpha1.RetentionPolicy
	Health    func(*unstructured.Unstructured) metav1.ConditionStatus
}

// Template is a template of any kind.
type Template struct {
	Kind, Name string
	Spec       v1alpha1.TemplateSpec
	// Outputs are the outputs to read, in order; none for a ClusterTemplate.
	Outputs []OutputPath
	// Deployment says when the deployment is done; nil for other kinds.
	Deployment *v1alpha1.DeploymentSpec
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

// conditionSucceeded is what an object of a tekton template is healthy by.
const conditionSucceeded = "Succeeded"

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
	case *v1alpha1.ClusterDeploymentTemplate:
		return &Template{Kind: v1alpha1.KindClusterDeploymentTemplate, Name: t.Name, Spec: t.Spec.TemplateSpec, Deployment: &t.Spec}, nil
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

// healthRule is the template's; that of a tekton template without one is that what it stamped has succeeded.
func (t *Template) healthRule() *v1alpha1.HealthRule {
	if t.Spec.HealthRule == nil && t.lifecycle() == v1alpha1.LifecycleTekton {
		return &v1alpha1.HealthRule{SingleConditionType: conditionSucceeded}
	}
	return t.Spec.HealthRule
}

// generationHealth is the health of one of several objects that were stamped one after the other. Without a rule, to
// be there is enough.
func (t *Template) generationHealth(object *unstructured.Unstructured) metav1.ConditionStatus {
	if t.healthRule() == nil {
		return metav1.ConditionTrue
	}
	return ruledHealth(t.healthRule(), object).Status
}

func (t *Template) retention() v1alpha1.RetentionPolicy {
	if t.Spec.RetentionPolicy == nil {
		return v1alpha1.RetentionPolicy{}
	}
	return *t.Spec.RetentionPolicy
}
