package templatetest

import (
	"bytes"
	"maps"
	"math"

	"github.com/rogpeppe/go-internal/diff"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Difference says that another object came of a case than was expected.
type Difference struct {
	// Diff shows the two as YAML, line by line: - is expected, + is actual.
	Diff string
}

func (d *Difference) Error() string {
	return "the object is not as expected:\n" + d.Diff
}

// difference compares what is to be compared. status is never: nothing that is rendered has one of its own. Numbers
// are equal when they are worth the same.
func (o compareOptions) difference(expected, actual map[string]any) error {
	wanted, err := yaml.Marshal(o.relevant(expected))
	if err != nil {
		return err
	}
	got, err := yaml.Marshal(o.relevant(actual))
	if err != nil {
		return err
	}
	if text := diff.Diff("expected", wanted, "actual", got); len(text) > 0 {
		_, text, _ = bytes.Cut(text, []byte("\n")) // after the line that repeats the names
		return &Difference{Diff: string(text)}
	}
	return nil
}

func (o compareOptions) relevant(object map[string]any) map[string]any {
	kept, ok := alike(object).(map[string]any)
	if !ok {
		return nil
	}
	delete(kept, "status")
	if o.IgnoreMetadata {
		delete(kept, "metadata")
		return kept
	}
	ignored := append([]string{"creationTimestamp"}, o.IgnoreMetadataFields...)
	if o.IgnoreOwnerRefs {
		ignored = append(ignored, "ownerReferences")
	}
	if o.IgnoreLabels {
		ignored = append(ignored, "labels")
	}
	for _, field := range ignored {
		unstructured.RemoveNestedField(kept, "metadata", field)
	}
	return kept
}

// alike returns a copy in which numbers of one worth have one type.
func alike(value any) any {
	switch value := value.(type) {
	case float64:
		if whole := int64(value); float64(whole) == value && math.Abs(value) < 1<<53 {
			return whole
		}
		return value
	case map[string]any:
		all := maps.Clone(value)
		for key := range all {
			all[key] = alike(all[key])
		}
		return all
	case []any:
		all := make([]any, len(value))
		for i := range value {
			all[i] = alike(value[i])
		}
		return all
	default:
		return value
	}
}
