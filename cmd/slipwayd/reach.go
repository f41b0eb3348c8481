package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

const (
	reachLimit = time.Minute
	reachPause = 200 * time.Millisecond
	reachTry   = 2 * time.Second // of one request: packets to an address that nobody has get no answer
)

// waitForAPIServer returns once the API server answers, whatever the answer. On a new node this pod may start before
// kube-proxy has made the way to it; ending instead would cost the kubelet's pause of ten seconds before the next try.
func waitForAPIServer(ctx context.Context, config *rest.Config, logger *slog.Logger) error {
	config = rest.CopyConfig(config)
	config.Timeout = reachTry
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client for %s: %w", config.Host, err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, reachPause, reachLimit, true, func(context.Context) (bool, error) {
		_, err := client.ServerVersion()
		if status := apierrors.APIStatus(nil); err == nil || errors.As(err, &status) {
			return true, nil
		}
		if last == nil {
			logger.Info("waiting for the API server", "host", config.Host, "error", err)
		}
		last = err
		return false, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("reaching the API server at %s: %w", config.Host, last)
	}
	return err
}
