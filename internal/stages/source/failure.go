package source

import (
	"errors"
	"fmt"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/condition"
	"slipway.dev/slipway/internal/pull"
)

// failure is why there is no new artifact: a condition's reason and its message, which is the same for the same outcome.
type failure struct {
	reason  string
	message string
	// settled : trying again helps only when the spec changes.
	settled bool
	// large : the source was too large.
	large bool
}

func (f *failure) Error() string { return f.message }

func failed(reason, format string, arguments ...any) *failure {
	return &failure{reason: reason, message: fmt.Sprintf(format, arguments...)}
}

func tooLarge(format string, arguments ...any) *failure {
	f := failed(v1alpha1.ReasonTooLarge, format, arguments...)
	f.large = true
	return f
}

func invalid(format string, arguments ...any) *failure {
	f := failed(v1alpha1.ReasonInvalidSpec, format, arguments...)
	f.settled = true
	return f
}

// asFailure is the failure in err; any other error is one of the controller's own disk, or of reaching what was asked.
func asFailure(err error, where string) *failure {
	if f, is := errors.AsType[*failure](err); is {
		return f
	}
	if said := condition.Scratch(err); said != "" {
		return failed(v1alpha1.ReasonStorageFailed, "%s", said)
	}
	return failed(v1alpha1.ReasonUnreachable, "%s cannot be reached: %s. It is tried again by itself.", where, pull.Cause(err))
}
