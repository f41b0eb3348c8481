// Package hint attaches advice to an error: the error says what went wrong, the hint says what to do next.
// It is not for wrapping causes (use fmt.Errorf and %w) and prints nothing; the command line prints
// "Error:" and then each "Hint:".
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	err  error
	hint string
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// With returns err with advice attached: one sentence, imperative, naming the command or file to act on.
// A nil err stays nil.
func With(err error, advice string) error {
	if err == nil {
		return nil
	}
	return &hinted{err: err, hint: advice}
}

// Withf is With with a formatted advice.
func Withf(err error, format string, arguments ...any) error {
	return With(err, fmt.Sprintf(format, arguments...))
}

// Of returns the advice found in err's tree, outermost first, without repetition; nil when there is none.
func Of(err error) []string {
	var advice []string
	seen := map[string]bool{}
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		if h, ok := err.(*hinted); ok && !seen[h.hint] { //nolint:errorlint // every level is visited here
			seen[h.hint] = true
			advice = append(advice, h.hint)
		}
		switch wrapped := err.(type) { //nolint:errorlint // every level is visited here
		case interface{ Unwrap() []error }:
			for _, inner := range wrapped.Unwrap() {
				walk(inner)
			}
		default:
			walk(errors.Unwrap(err))
		}
	}
	walk(err)
	return advice
}
