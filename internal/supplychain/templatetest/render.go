package templatetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/admission"
	"slipway.dev/slipway/internal/supplychain/manifest"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/selector"
	"slipway.dev/slipway/internal/supplychain/template"
)

// render returns the object that the template makes of the case.
func (c testCase) render(ctx context.Context, renderer *template.Renderer) (*unstructured.Unstructured, error) {
	tested, err := c.readTemplate(ctx, renderer)
	if err != nil {
		return nil, err
	}
	workload, err := readWorkload(c.workload)
	if err != nil {
		return nil, err
	}
	if len(c.chains) == 0 {
		return c.renderMock(ctx, renderer, tested, workload)
	}
	chain, err := c.readChain(ctx, renderer, workload)
	if err != nil {
		return nil, err
	}
	target, err := c.resource(chain, tested)
	if err != nil {
		return nil, err
	}
	one := realize.One{Workload: workload, Chain: chain, Resource: target, Template: tested, Before: before(c.previousOutputs)}
	return one.Render(ctx, renderer)
}

func readWorkload(path string) (*v1alpha1.Workload, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	object, err := manifest.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	workload, ok := object.(*v1alpha1.Workload)
	if !ok {
		return nil, fmt.Errorf("%s holds a %s, and no Workload", path, object.GetObjectKind().GroupVersionKind().Kind)
	}
	return workload, nil
}

// before are the outputs of the resources before the tested one.
func before(outputs map[string]output) map[string]map[string]any {
	all := map[string]map[string]any{}
	for resource, output := range outputs {
		values := map[string]any{}
		if output.Source != nil {
			values["url"], values["revision"] = output.Source.URL, output.Source.Revision
		}
		if output.Image != nil {
			values["image"] = output.Image
		}
		if output.Config != nil {
			values["config"] = output.Config
		}
		all[resource] = values
	}
	return all
}

// resource returns the resource to test: the one that is named, or the only one that the template fits.
func (c testCase) resource(chain *v1alpha1.ClusterSupplyChain, tested *realize.Template) (string, error) {
	if c.target != "" {
		return c.target, nil
	}
	var fits []string
	for _, resource := range chain.Spec.Resources {
		named := resource.TemplateRef.Name == tested.Name ||
			slices.ContainsFunc(resource.TemplateRef.Options, func(o v1alpha1.TemplateOption) bool { return o.Name == tested.Name })
		if named && resource.TemplateRef.Kind == tested.Kind {
			fits = append(fits, resource.Name)
		}
	}
	if len(fits) != 1 {
		return "", fmt.Errorf("given.supplyChain.targetResourceName must say which resource is tested: [%s] use template [%s/%s]",
			strings.Join(fits, ", "), tested.Kind, tested.Name)
	}
	return fits[0], nil
}

// renderMock renders with what the mock gives. Only what is known without a chain is labelled.
func (c testCase) renderMock(ctx context.Context, renderer *template.Renderer, tested *realize.Template, workload *v1alpha1.Workload) (*unstructured.Unstructured, error) {
	mock := c.mock
	if mock == nil {
		mock = &mockChain{}
	}
	params, err := template.Params(template.ParamSources{Template: tested.Spec.Params, Chain: mock.BlueprintParams, Owner: workload.Spec.Params})
	if err != nil {
		return nil, err
	}
	data := map[string]any{"workload": workload, "params": params}
	mock.BlueprintInputs.into(data)
	rendered, err := renderer.Render(ctx, &tested.Spec, data)
	if err != nil {
		return nil, fmt.Errorf("unable to stamp object for template [%s/%s]: %w", tested.Kind, tested.Name, err)
	}
	object := &unstructured.Unstructured{Object: rendered}
	err = realize.Own(object, metav1.OwnerReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindWorkload, Name: workload.Name, UID: workload.UID,
	}, workload.Namespace, map[string]string{
		v1alpha1.LabelWorkloadName: workload.Name, v1alpha1.LabelWorkloadNamespace: workload.Namespace,
		v1alpha1.LabelTemplateKind: tested.Kind, v1alpha1.LabelTemplateName: tested.Name,
	})
	return object, err
}

// into adds the inputs to what the template sees; one that is alone of its family has a second, short name.
func (i *inputs) into(data map[string]any) {
	if i == nil {
		i = &inputs{}
	}
	sources, images, configs := map[string]any{}, map[string]any{}, map[string]any{}
	for name, input := range i.Sources {
		sources[name] = map[string]any{"name": name, "url": input.URL, "revision": input.Revision}
	}
	for name, input := range i.Images {
		images[name] = map[string]any{"name": name, "image": input.Image}
	}
	for name, input := range i.Configs {
		configs[name] = map[string]any{"name": name, "config": input.Config}
	}
	data["sources"], data["images"], data["configs"] = sources, images, configs
	for name := range only(i.Sources) {
		data["source"] = sources[name]
	}
	for _, input := range only(i.Images) {
		data["image"] = input.Image
	}
	for _, input := range only(i.Configs) {
		data["config"] = input.Config
	}
}

// only returns a map of one entry, and else an empty one.
func only[T any](all map[string]T) map[string]T {
	if len(all) != 1 {
		return nil
	}
	return maps.Clone(all)
}

// readTemplate reads the template and applies the admission rules.
func (c testCase) readTemplate(ctx context.Context, renderer *template.Renderer) (*realize.Template, error) {
	data, err := rendered(ctx, renderer, c.template, c.templateValues)
	if err != nil {
		return nil, err
	}
	documents := manifest.Split(data)
	if len(documents) != 1 {
		return nil, fmt.Errorf("%s holds %d documents, and not one template", c.template, len(documents))
	}
	object, err := manifest.Decode(documents[0].Data)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", c.template, err)
	}
	if err := admission.Validate(object); err != nil {
		return nil, fmt.Errorf("%s: %w", c.template, err)
	}
	return realize.TemplateOf(object)
}

// readChain reads the supply chains and returns the one for the workload.
func (c testCase) readChain(ctx context.Context, renderer *template.Renderer, workload *v1alpha1.Workload) (*v1alpha1.ClusterSupplyChain, error) {
	var chains []*v1alpha1.ClusterSupplyChain
	var candidates []selector.Selector
	for _, path := range c.chains {
		data, err := rendered(ctx, renderer, path, c.chainValues)
		if err != nil {
			return nil, err
		}
		for _, document := range manifest.Split(data) {
			object, err := manifest.Decode(document.Data)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", path, err)
			}
			chain, ok := object.(*v1alpha1.ClusterSupplyChain)
			if !ok {
				return nil, fmt.Errorf("%s holds a %s, and not supply chains alone", path, object.GetObjectKind().GroupVersionKind().Kind)
			}
			if err := admission.Validate(chain); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			chains, candidates = append(chains, chain), append(candidates, selector.OfChain(chain))
		}
	}
	best, bad := selector.Best(candidates, workload)
	if len(bad) > 0 {
		return nil, fmt.Errorf("supply chain [%s]: %w", chains[bad[0].Index].Name, bad[0].Err)
	}
	if len(best) != 1 {
		return nil, fmt.Errorf("%d supply chains are for workload [%s], and not one", len(best), workload.Name)
	}
	return chains[best[0]], nil
}

// rendered returns a file, rendered with ytt if there is a file of values for it.
func rendered(ctx context.Context, renderer *template.Renderer, path, valuesPath string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || valuesPath == "" {
		return data, err
	}
	values, err := readObject(valuesPath)
	if err != nil {
		return nil, err
	}
	data, err = renderer.Documents(ctx, string(data), values)
	if err != nil {
		return nil, fmt.Errorf("rendering %s with %s: %w", path, valuesPath, err)
	}
	return data, nil
}

// readObject reads a file of one YAML document.
func readObject(path string) (map[string]any, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	switch documents := manifest.Split(data); {
	case len(documents) > 1:
		return nil, fmt.Errorf("%s holds %d documents, and not one", path, len(documents))
	case len(documents) == 0:
		return nil, errors.New(path + " is empty")
	default:
		if err := yaml.Unmarshal(documents[0].Data, &object); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return object, nil
}
