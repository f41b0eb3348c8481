package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/registry/server"
)

type registryOptions struct {
	addr     string
	root     string
	events   bool
	logLevel string
}

func newRegistryCommand(run func(context.Context, *cobra.Command, registryOptions) error) *cobra.Command {
	var options registryOptions
	command := &cobra.Command{
		Use:   "registry",
		Short: "Serve the image registry",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), command, options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.addr, "addr", ":5000", "where to serve")
	flags.StringVar(&options.root, "root", "/var/lib/registry", "the directory that holds the images")
	flags.BoolVar(&options.events, "events", true, "serve the stream of push events")
	flags.StringVar(&options.logLevel, "log-level", "info", "debug, info, warn or error")
	return command
}

func runRegistry(ctx context.Context, command *cobra.Command, options registryOptions) error {
	logger, err := newLogger(command.ErrOrStderr(), options.logLevel)
	if err != nil {
		return err
	}
	server.CaptureLibraryLogs(logger)
	registry, err := server.New(ctx, server.Options{Root: options.root, NoEvents: !options.events, Logger: logger})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.addr)
	if err != nil {
		return fmt.Errorf("opening the registry's port: %w", err)
	}
	return registry.Serve(ctx, listener)
}
