package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// digest returns a short name for a JSON value. encoding/json sorts keys, so that equal values have equal digests.
func digest(value any) string {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "" // what came from JSON goes back to JSON; "" equals no digest
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16])
}

// fingerprint is the digest of all of an object that its writers decide: not its status, and not what the API server
// keeps about it.
func fingerprint(object *unstructured.Unstructured) string {
	kept := map[string]any{}
	for key, value := range object.Object {
		if key != "status" && key != "metadata" {
			kept[key] = value
		}
	}
	kept["labels"], kept["annotations"], kept["owners"] = object.GetLabels(), object.GetAnnotations(), object.GetOwnerReferences()
	return digest(kept)
}

// withoutNulls drops the null fields of maps: to server-side apply they would be opinions, and a template means by
// them that it has none.
func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := make(map[string]any, len(value))
		for key, below := range value {
			if below != nil {
				kept[key] = withoutNulls(below)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i := range value {
			kept[i] = withoutNulls(value[i])
		}
		return kept
	default:
		return value
	}
}

// holds says whether live has all that wanted asks for, whatever else it has.
func holds(live, wanted any) bool {
	switch wanted := wanted.(type) {
	case map[string]any:
		found, ok := live.(map[string]any)
		if !ok {
			return live == nil && len(wanted) == 0
		}
		for key, below := range wanted {
			if !holds(found[key], below) {
				return false
			}
		}
		return true
	case []any:
		found, ok := live.([]any)
		if !ok {
			return live == nil && len(wanted) == 0
		}
		if len(found) != len(wanted) {
			return false
		}
		for i := range wanted {
			if !holds(found[i], wanted[i]) {
				return false
			}
		}
		return true
	default:
		return live == wanted || sameNumber(live, wanted)
	}
}

// sameNumber: the API server may write an amount in another way than we did ("1000m" and "1").
func sameNumber(a, b any) bool {
	first, ok := quantity(a)
	if !ok {
		return false
	}
	second, ok := quantity(b)
	return ok && first.Cmp(second) == 0
}

func quantity(value any) (resource.Quantity, bool) {
	var text string
	switch value := value.(type) {
	case string:
		text = value
	case int64, float64:
		encoded, err := json.Marshal(value)
		if err != nil {
			return resource.Quantity{}, false
		}
		text = string(encoded)
	default:
		return resource.Quantity{}, false
	}
	parsed, err := resource.ParseQuantity(text)
	return parsed, err == nil
}
