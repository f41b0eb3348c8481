package realize

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/template"
)

const maxPreview = 1024

// values are what a resource gives to others, by the name of the output (url, revision, image, config). nil : it has
// nothing to give yet.
type values map[string]any

// readOutputs reads the template's outputs from object, of which nil has none. What cannot be read is returned instead.
func readOutputs(from *Template, object *unstructured.Unstructured) (values, *gap) {
	read := values{}
	for _, output := range from.Outputs {
		if object == nil {
			return nil, &gap{path: output.Path}
		}
		value, err := template.Lookup(output.Path, object.Object)
		if err != nil {
			return nil, &gap{path: output.Path}
		}
		read[output.Name] = value
	}
	return read, nil
}

// outputStatus shows outputs; one that is as before keeps its time of transition.
func outputStatus(names []string, read values, previous []v1alpha1.Output, now metav1.Time) ([]v1alpha1.Output, error) {
	var outputs []v1alpha1.Output
	for _, name := range names {
		value, ok := read[name]
		if !ok {
			continue
		}
		preview, digest, err := show(value)
		if err != nil {
			return nil, fmt.Errorf("showing output [%s]: %w", name, err)
		}
		output := v1alpha1.Output{Name: name, Preview: preview, Digest: digest, LastTransitionTime: now}
		for _, before := range previous {
			if before.Name == name && before.Digest == digest {
				output.LastTransitionTime = before.LastTransitionTime
			}
		}
		outputs = append(outputs, output)
	}
	return outputs, nil
}

// show returns the beginning of a value as YAML and the digest of the whole. Numbers are shown as floats, as
// Cartographer shows them: the digests must agree.
func show(value any) (preview, digest string, err error) {
	encoded, err := yaml.Marshal(floats(value))
	if err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(encoded)
	preview = string(encoded)
	if len(preview) > maxPreview {
		preview = strings.ToValidUTF8(preview[:maxPreview], "")
	}
	return preview, "sha256:" + hex.EncodeToString(sum[:]), nil
}

func floats(value any) any {
	switch value := value.(type) {
	case int64:
		return float64(value)
	case []any:
		converted := make([]any, len(value))
		for i := range value {
			converted[i] = floats(value[i])
		}
		return converted
	case map[string]any:
		converted := make(map[string]any, len(value))
		for key := range value {
			converted[key] = floats(value[key])
		}
		return converted
	default:
		return value
	}
}

// sameOutputs says whether two lists show the same values.
func sameOutputs(a, b []v1alpha1.Output) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Digest != b[i].Digest {
			return false
		}
	}
	return true
}
