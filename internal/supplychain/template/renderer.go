package template

import (
	"context"
	"errors"
	"fmt"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// Renderer renders templates of either language. It keeps what it has compiled, so that callers share one; it may be
// used by several goroutines at once. Make it with NewRenderer.
type Renderer struct {
	ytt *yttEngine
}

// NewRenderer returns a renderer with an empty cache.
func NewRenderer() *Renderer {
	return &Renderer{ytt: newYttEngine(yttLimit)}
}

// Render renders the template of spec with what context holds, and returns the object. What the object must be like
// (a kind, a name) is not looked at. ctx ends the wait for a ytt template; one that takes longer than the time limit
// is an error.
func (r *Renderer) Render(ctx context.Context, spec *v1alpha1.TemplateSpec, data map[string]any) (map[string]any, error) {
	plain := spec.Template != nil && len(spec.Template.Raw) > 0
	switch {
	case plain && spec.Ytt != "":
		return nil, errors.New("invalid template: must specify one of template or ytt, found both")
	case plain:
		return Render(spec.Template.Raw, data)
	case spec.Ytt != "":
		object, err := firstObject(r.ytt.render(ctx, spec.Ytt, data))
		if err != nil {
			return nil, fmt.Errorf("unable to apply ytt template: %w", err)
		}
		return object, nil
	default:
		return nil, errors.New("invalid template: must specify one of template or ytt, found neither")
	}
}

// Documents renders a file in ytt with values, and returns all its documents as YAML.
func (r *Renderer) Documents(ctx context.Context, ytt string, values map[string]any) ([]byte, error) {
	return r.ytt.render(ctx, ytt, values)
}
