package kube_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slipway.dev/slipway/internal/kube"
)

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		var said []string
		err := kube.Wait(t.Context(), "it", func(saw string) { said = append(said, saw) }, func(context.Context) (bool, string, error) {
			looks++
			switch looks {
			case 1:
				return false, "", errors.New("no answer")
			case 2, 3:
				return false, "half", nil
			}
			return true, "", nil
		})
		if err != nil || strings.Join(said, ",") != "no answer,half" {
			t.Errorf("Wait() = %v, said %q", err, said)
		}
	})
}

func TestWaitSaysWhatItLastSaw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := kube.Wait(ctx, "deployment x", nil, func(context.Context) (bool, string, error) { return false, "0 of 1 available", nil })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "deployment x") || !strings.Contains(err.Error(), "0 of 1") {
			t.Errorf("error = %v, want what was waited for and what was seen", err)
		}
	})
}

func TestWaitStops(t *testing.T) {
	cause := errors.New("it can never be")
	err := kube.Wait(t.Context(), "it", nil, func(context.Context) (bool, string, error) { return false, "", kube.Stop(cause) })
	if !errors.Is(err, cause) {
		t.Errorf("error = %v, want %v", err, cause)
	}
}
