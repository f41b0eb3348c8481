package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
)

// outageLimit is how long a step goes on trying while the registry or the API server does not answer. Both restart in
// a few seconds; a developer who has stopped them should hear of it soon.
const outageLimit = 45 * time.Second

// firstPause and lastPause are between two tries; each is twice the one before.
const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
)

// backoff is how long the loop waits before it repeats a run that ended with an outage, by how often it has.
func backoff(attempts int) time.Duration {
	return min(time.Second<<min(attempts, 4), 15*time.Second)
}

// errStarting is an answer of an API server that does not know its own rules yet.
var errStarting = errors.New("it is starting")

// transient says whether an error is of a moment: something did not answer, or said that it cannot now. What is wrong
// in the source, in the workload or in the cluster's objects is not.
func transient(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) || diskFull(err) {
		return false
	}
	if errors.Is(err, errStarting) || errors.Is(err, errNoAnswer) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if refusal := (*transport.Error)(nil); errors.As(err, &refusal) {
		return refusal.StatusCode >= http.StatusInternalServerError || refusal.StatusCode == http.StatusTooManyRequests
	}
	for _, is := range []func(error) bool{
		apierrors.IsServerTimeout, apierrors.IsTimeout, apierrors.IsTooManyRequests, apierrors.IsServiceUnavailable, apierrors.IsInternalError,
		utilnet.IsConnectionRefused, utilnet.IsConnectionReset, utilnet.IsHTTP2ConnectionLost, utilnet.IsProbableEOF, utilnet.IsTimeout,
	} {
		if is(err) {
			return true
		}
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
}

// persist repeats try while its error is transient, for at most outageLimit; what it waits for is shown in the step.
func persist(ctx context.Context, s *step, what string, try func() error) error {
	began, pause := time.Now(), firstPause
	for {
		err := try()
		if err == nil || ctx.Err() != nil || !transient(err) || time.Since(began) > outageLimit {
			return err
		}
		s.update(fmt.Sprintf("%s does not answer; trying again (%v)", what, inOneLine(bare(err))))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

// noSpace is what Linux and every program on it says of a full disk.
const noSpace = "no space left on device"

// diskFull says whether an error comes of a full disk, here, in the registry or in the node.
func diskFull(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return true
	}
	text := err.Error()
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		text = wrong.Output
	}
	return strings.Contains(text, noSpace) || strings.Contains(text, "DiskPressure") || strings.Contains(text, "disk-pressure")
}

// explain adds advice that the one who made the error could not know.
func explain(err error) error {
	if diskFull(err) {
		return hint.With(err, "a disk is full: `df -h` says which; `docker system df` and `docker system prune` show and free what the engine keeps, and `go clean -cache` what compilers keep")
	}
	return err
}
