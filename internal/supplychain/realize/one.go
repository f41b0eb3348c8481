package realize

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

// One is a resource of a supply chain to render without a cluster, for the tests of templates.
type One struct {
	Workload *v1alpha1.Workload
	Chain    *v1alpha1.ClusterSupplyChain
	// Resource is the resource's name in the chain.
	Resource string
	// Template is the template that the resource must choose.
	Template *Template
	// Before are the outputs of other resources, by the resource's name and then by the output's (url, revision,
	// image, config). A resource that is not in it has none yet.
	Before map[string]map[string]any
}

// Render returns the object that Realize would stamp for the resource. A chain whose resource does not exist or
// chooses another template is an error, as is what keeps an object from being stamped.
func (o One) Render(ctx context.Context, renderer *template.Renderer) (*unstructured.Unstructured, error) {
	r := newRun(onPaper{renderer: renderer}, OfWorkload(o.Workload), OfChain(o.Chain), metav1.Time{})
	for name, outputs := range o.Before {
		r.produced[name] = outputs
	}
	for _, resource := range r.blueprint.Resources {
		if resource.Name != o.Resource {
			continue
		}
		name, passThrough, problem := r.choose(resource)
		switch {
		case problem != nil:
			return nil, errors.New(problem.message)
		case passThrough != "":
			return nil, fmt.Errorf("resource [%s] passes its input [%s] through: nothing is stamped", o.Resource, passThrough)
		case name != o.Template.Name || resource.TemplateRef.Kind != o.Template.Kind:
			return nil, fmt.Errorf("resource [%s] of supply chain [%s] uses template [%s/%s], and not [%s/%s]",
				o.Resource, o.Chain.Name, resource.TemplateRef.Kind, name, o.Template.Kind, o.Template.Name)
		}
		object, err := r.stamp(ctx, resource, o.Template)
		if err != nil {
			return nil, errors.New(r.stampProblem(o.Resource, o.Template, err).message)
		}
		return object, nil
	}
	return nil, fmt.Errorf("supply chain [%s] has no resource [%s]", o.Chain.Name, o.Resource)
}

// onPaper is a cluster that can render, and is asked nothing else.
type onPaper struct {
	Cluster

	renderer *template.Renderer
}

func (p onPaper) Render(ctx context.Context, spec *v1alpha1.TemplateSpec, data map[string]any) (map[string]any, error) {
	return p.renderer.Render(ctx, spec, data)
}
