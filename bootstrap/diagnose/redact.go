package diagnose

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// secretName matches the names of settings whose values should not leave the machine. It errs on the safe side.
var secretName = regexp.MustCompile(`(?i)passw|secret|token|credential|private|api_?key|access_?key|dockerconfig|\.pem$|\.key$`)

// redact returns a copy of an object without what is secret or only noise: the data of Secrets, values whose names
// look secret (environment variables, ConfigMap entries), managed fields, and kubectl's copy of what was applied.
func redact(object *unstructured.Unstructured) map[string]any {
	out := object.DeepCopy()
	out.SetManagedFields(nil)
	annotations := out.GetAnnotations()
	if _, found := annotations["kubectl.kubernetes.io/last-applied-configuration"]; found {
		delete(annotations, "kubectl.kubernetes.io/last-applied-configuration")
		out.SetAnnotations(annotations)
	}
	for _, field := range []string{"data", "stringData", "binaryData"} {
		entries, ok := out.Object[field].(map[string]any)
		if !ok {
			continue
		}
		for key, value := range entries {
			if out.GetKind() == "Secret" || secretName.MatchString(key) {
				entries[key] = hidden(value)
			}
		}
	}
	redactNamed(out.Object)
	return out.Object
}

// redactNamed walks a tree and hides the value of each {name: ..., value: ...} whose name looks secret.
func redactNamed(tree any) {
	switch node := tree.(type) {
	case map[string]any:
		if name, ok := node["name"].(string); ok && secretName.MatchString(name) {
			if value, found := node["value"]; found {
				node["value"] = hidden(value)
			}
		}
		for _, child := range node {
			redactNamed(child)
		}
	case []any:
		for _, child := range node {
			redactNamed(child)
		}
	}
}

func hidden(value any) string {
	if text, ok := value.(string); ok {
		return fmt.Sprintf("(%d characters, left out)", len(text))
	}
	return "(left out)"
}
