package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// newLogger writes JSON lines to out. level is debug, info, warn or error.
func newLogger(out io.Writer, level string) (*slog.Logger, error) {
	var minimum slog.Level
	if err := minimum.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("reading --log-level: %w (use debug, info, warn or error)", err)
	}
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: minimum})), nil
}

// captureKubernetesLogs sends what client-go and controller-runtime log to logger. Both have one logger for
// the whole process, so this is main's to do.
func captureKubernetesLogs(logger *slog.Logger) {
	bridge := logr.FromSlogHandler(logger.Handler())
	ctrl.SetLogger(bridge)
	klog.SetLogger(bridge)
}
