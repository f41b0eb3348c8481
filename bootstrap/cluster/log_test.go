package cluster

import (
	"errors"
	"strings"
	"testing"

	"slipway.dev/slipway/internal/hint"
)

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

func TestCreationErrorAdvisesWhereANodeIsLeft(t *testing.T) {
	left := creationError(errors.New(`node(s) already exist for a cluster with the name "slipway"`), "")
	if advice := hint.Of(left); len(advice) != 1 || !strings.Contains(advice[0], "run `slipway up` again") {
		t.Errorf("advice = %q, want to run up again", advice)
	}
	if advice := hint.Of(creationError(errors.New("something else"), "")); len(advice) != 0 {
		t.Errorf("advice = %q for another error, want none", advice)
	}
}
