package admission

import (
	"errors"
	"fmt"
	"strings"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

func supplyChain(chain *v1alpha1.ClusterSupplyChain) error {
	links := make([]link, 0, len(chain.Spec.Resources))
	for _, resource := range chain.Spec.Resources {
		links = append(links, link{
			name: resource.Name, kind: resource.TemplateRef.Kind, ref: resource.TemplateRef.Name, options: resource.TemplateRef.Options,
			params: resource.Params,
			passable: map[string][]v1alpha1.ResourceReference{
				v1alpha1.KindClusterSourceTemplate: resource.Sources,
				v1alpha1.KindClusterImageTemplate:  resource.Images,
				v1alpha1.KindClusterConfigTemplate: resource.Configs,
			},
		})
	}
	if err := head(chain.Spec.LegacySelector, chain.Spec.Params, links, workloadKeys); err != nil {
		return err
	}
	kinds := make(map[string]string, len(links))
	for _, l := range links {
		if _, twice := kinds[l.name]; twice {
			return fmt.Errorf("duplicate resource name [%s] found", l.name)
		}
		kinds[l.name] = l.kind
	}
	if err := uniqueOptions(links); err != nil {
		return err
	}
	if err := templateRefs(links, workloadKeys); err != nil {
		return err
	}
	takes := map[string][]string{}
	for _, resource := range chain.Spec.Resources {
		for _, input := range []struct {
			family, kind string
			references   []v1alpha1.ResourceReference
		}{
			{"sources", v1alpha1.KindClusterSourceTemplate, resource.Sources},
			{"images", v1alpha1.KindClusterImageTemplate, resource.Images},
			{"configs", v1alpha1.KindClusterConfigTemplate, resource.Configs},
		} {
			if err := provided(input.references, input.kind, kinds); err != nil {
				return fmt.Errorf("invalid %s for resource [%s]: %w", input.family, resource.Name, err)
			}
			for _, reference := range input.references {
				takes[resource.Name] = append(takes[resource.Name], reference.Resource)
			}
		}
	}
	return noCircle(links, takes)
}

// provided checks that inputs come from resources that exist and produce what is asked for.
func provided(inputs []v1alpha1.ResourceReference, kind string, kinds map[string]string) error {
	for _, input := range inputs {
		found, exists := kinds[input.Resource]
		if !exists {
			return fmt.Errorf("[%s] is provided by unknown resource [%s]", input.Name, input.Resource)
		}
		if found != kind {
			return fmt.Errorf("resource [%s] providing [%s] must reference a %s", input.Resource, input.Name, kind)
		}
	}
	return nil
}

// noCircle refuses resources that wait for one another: they could never be realised. This rule is ours; Cartographer
// takes such chains, and leaves their workloads waiting for ever. takes holds, by resource, those that it takes from.
func noCircle(links []link, takes map[string][]string) error {
	const (
		onPath = 1
		fine   = 2
	)
	state := map[string]int{}
	var path []string
	var visit func(name string) error
	visit = func(name string) error {
		path = append(path, name)
		defer func() { path = path[:len(path)-1] }()
		if state[name] == onPath {
			return errors.New("resources take each other's outputs in a circle: [" + strings.Join(circle(path), "] takes from [") + "]")
		}
		if state[name] == fine {
			return nil
		}
		state[name] = onPath
		for _, from := range takes[name] {
			if err := visit(from); err != nil {
				return err
			}
		}
		state[name] = fine
		return nil
	}
	for _, l := range links {
		if err := visit(l.name); err != nil {
			return err
		}
	}
	return nil
}

// circle is the end of a path, from where its last step first stood.
func circle(path []string) []string {
	last := path[len(path)-1]
	for i, name := range path {
		if name == last {
			return path[i:]
		}
	}
	return path
}
