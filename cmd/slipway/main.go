// Command slipway brings up a local software supply chain and drives it from a developer's folder. All it does is in
// package app; here are only the process's own things: its streams, its signals and its exit code.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/ui"
)

func main() {
	streams := ui.System()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // a second one: the user does not want to wait for an orderly end
		streams.RestoreCursor()
		os.Exit(app.ExitInterrupted)
	}()
	os.Exit(app.Run(ctx, streams, os.Args[1:]))
}
