package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pollInterval is how often Wait looks again: what `up` waits for takes seconds, and a look costs milliseconds.
const pollInterval = 200 * time.Millisecond

// Wait calls look until it returns true. look also returns what it saw, in words; say is told when that changes,
// and it is in the error when ctx ends first. An error from look is taken as something seen: what is being waited
// for may well not answer yet. Wrap it with Stop to give up at once.
func Wait(ctx context.Context, what string, say func(string), look func(context.Context) (bool, string, error)) error {
	last := ""
	for {
		done, saw, err := look(ctx)
		if stop := (*stopError)(nil); errors.As(err, &stop) {
			return fmt.Errorf("waiting for %s: %w", what, stop.cause)
		}
		if done && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			saw = err.Error()
		}
		if saw != "" && saw != last {
			last = saw
			if say != nil {
				say(saw)
			}
		}
		select {
		case <-ctx.Done():
			if last == "" {
				return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
			}
			return fmt.Errorf("waiting for %s: %w; last seen: %s", what, ctx.Err(), last)
		case <-time.After(pollInterval):
		}
	}
}

type stopError struct{ cause error }

func (s *stopError) Error() string { return s.cause.Error() }
func (s *stopError) Unwrap() error { return s.cause }

// Stop marks an error that makes Wait give up at once.
func Stop(err error) error {
	if err == nil {
		return nil
	}
	return &stopError{cause: err}
}

// DeploymentReady says whether a Deployment's newest revision is fully there, and in words how far it is.
func DeploymentReady(deployment *unstructured.Unstructured) (bool, string) {
	wanted, found, _ := unstructured.NestedInt64(deployment.Object, "spec", "replicas")
	if !found {
		wanted = 1
	}
	count := func(field string) int64 {
		value, _, _ := unstructured.NestedInt64(deployment.Object, "status", field)
		return value
	}
	if count("observedGeneration") < deployment.GetGeneration() {
		return false, fmt.Sprintf("deployment %s: not observed yet", deployment.GetName())
	}
	if count("updatedReplicas") < wanted || count("availableReplicas") < wanted || count("replicas") > wanted {
		return false, fmt.Sprintf("deployment %s: %d of %d available", deployment.GetName(), count("availableReplicas"), wanted)
	}
	return true, fmt.Sprintf("deployment %s: %d available", deployment.GetName(), wanted)
}

// Condition returns the status, reason and message of a condition of an object; empty strings when it is not there.
func Condition(object *unstructured.Unstructured, conditionType string) (status, reason, message string) {
	list, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, item := range list {
		condition, ok := item.(map[string]any)
		if !ok || condition["type"] != conditionType {
			continue
		}
		status, _ = condition["status"].(string)
		reason, _ = condition["reason"].(string)
		message, _ = condition["message"].(string)
		return status, reason, message
	}
	return "", "", ""
}
