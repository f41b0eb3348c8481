package dev

import (
	"errors"
	"testing"
)

func TestMended(t *testing.T) {
	failed := func(stage, message string) error { return &ChainError{Stage: stage, Message: message} }
	tester := func(done bool, message string) state {
		st := state{stages: []stage{{name: "source-tester", done: done}, {name: "image-provider"}}}
		if message != "" {
			st.problem = &problem{stage: "source-tester", message: message}
		}
		return st
	}
	tests := []struct {
		name string
		err  error
		last error // that of the run before; nil for none
		now  state
		want string
	}{
		{"it is as it was", failed("source-tester", "no plan"), nil, tester(false, "no plan"), ""},
		{"it runs", failed("source-tester", "no plan"), nil, tester(false, ""), "source-tester goes on"},
		{"it has another trouble", failed("source-tester", "no plan"), nil, tester(false, "red"), "source-tester goes on"},
		{"it runs again, for all that is known with the same end", failed("source-tester", "no plan"), failed("source-tester", "no plan"), tester(false, ""), ""},
		{"it is done this time", failed("source-tester", "no plan"), failed("source-tester", "no plan"), tester(true, ""), "source-tester goes on"},
		{"it runs again after another end", failed("source-tester", "red"), failed("source-tester", "no plan"), tester(false, ""), "source-tester goes on"},
		{"a pod is started again", failed("pod", "it crashed"), nil, tester(true, ""), ""},
		{"a pod stays", failed("pod", "it crashed"), nil, state{done: true}, "all is ready by now"},
		{"it took too long", errors.New("waiting for pods"), nil, tester(true, ""), ""},
		{"it took too long, and is there", errors.New("waiting for pods"), nil, state{done: true}, "all is ready by now"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := halt(goal, test.err)
			if test.last != nil {
				h.after(halt(goal, test.last))
			}
			if got := h.mended(test.now); got != test.want {
				t.Errorf("mended = %q, want %q", got, test.want)
			}
		})
	}
	var none *halted
	none.after(halt(goal, errors.New("x"))) // a run that passed after one that did not
}
