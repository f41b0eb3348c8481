package environment_test

import (
	"strings"
	"testing"

	"slipway.dev/slipway/internal/environment"
)

func TestParse(t *testing.T) {
	for name, valid := range map[string]bool{
		"slipway": true, "a": true, "a-b-1": true, strings.Repeat("a", 45): true,
		"": false, "-a": false, "a-": false, "A": false, "a_b": false, "a.b": false, "a b": false, strings.Repeat("a", 46): false,
	} {
		parsed, err := environment.Parse(name)
		if (err == nil) != valid {
			t.Errorf("Parse(%q): error = %v, want valid %v", name, err, valid)
		}
		// A host name has at most 63 characters.
		if err == nil && (parsed.Node() != name+"-control-plane" || len(parsed.Node()) > 63) {
			t.Errorf("Parse(%q).Node() = %q", name, parsed.Node())
		}
	}
}
