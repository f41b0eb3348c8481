package testrun

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

var digestInURL = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// sourceDigest is the digest of what a run tests; "" when it is not known.
func sourceDigest(source v1alpha1.TestSource) string {
	if source.Digest != "" {
		return source.Digest
	}
	return digestInURL.FindString(source.URL)
}

// definitionKey is the same for runs of equal tests on equal sources, whatever their revisions are called; "" when that
// cannot be known.
func definitionKey(run *v1alpha1.TestRun) string {
	digest := sourceDigest(run.Spec.Source)
	if digest == "" {
		return ""
	}
	definition := run.Spec.Definition
	definition.Params = effectiveParams(run.Spec)
	definition.Timeout = nil // how long tests may take says nothing about what they test
	definition.Cache = false
	content, err := json.Marshal(map[string]any{"source": digest, "subPath": run.Spec.Source.SubPath, "definition": definition})
	if err != nil {
		return ""
	}
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:])
}

// effectiveParams are the parameters of a definition with the values that a run gives them, then those that the run
// alone has.
func effectiveParams(spec v1alpha1.TestRunSpec) []v1alpha1.TestVariable {
	given := map[string]string{}
	for _, param := range spec.Params {
		given[param.Name] = param.Value
	}
	var all []v1alpha1.TestVariable
	for _, param := range spec.Definition.Params {
		if value, is := given[param.Name]; is {
			param.Value = value
			delete(given, param.Name)
		}
		all = append(all, param)
	}
	for _, param := range spec.Params {
		if _, left := given[param.Name]; left {
			all = append(all, param)
		}
	}
	return all
}
