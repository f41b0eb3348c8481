package hint_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"slipway.dev/slipway/internal/hint"
)

func TestOf(t *testing.T) {
	cause := errors.New("connection refused")
	inner := hint.With(cause, "start Docker")
	tests := []struct {
		name string
		err  error
		want []string
	}{
		{"nil", hint.With(nil, "never shown"), nil},
		{"none", cause, nil},
		{"wrapped", fmt.Errorf("reaching the engine: %w", inner), []string{"start Docker"}},
		{"outermost first", hint.With(fmt.Errorf("up: %w", inner), "run doctor"), []string{"run doctor", "start Docker"}},
		{"joined, once", errors.Join(inner, hint.With(errors.New("no"), "start Docker"), hint.With(errors.New("x"), "else")), []string{"start Docker", "else"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := hint.Of(test.err); !slices.Equal(got, test.want) {
				t.Errorf("Of(%v) = %q, want %q", test.err, got, test.want)
			}
		})
	}
	if !errors.Is(inner, cause) {
		t.Error("the cause is lost")
	}
}
