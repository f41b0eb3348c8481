package cluster

import "testing"

func TestStepName(t *testing.T) {
	for line, want := range map[string]string{
		" • Preparing nodes 📦  ...\n":              "preparing nodes",
		" • Starting control-plane 🕹️  ...\n":      "starting control-plane",
		" ✓ Preparing nodes 📦\n":                   "",
		"Creating cluster \"slipway\" ...\n":       "",
		" • Ensuring node image (x/y:v1) 🖼  ...\n": "ensuring node image (x/y:v1)",
	} {
		if got := stepName(line); got != want {
			t.Errorf("stepName(%q) = %q, want %q", line, got, want)
		}
	}
}
