package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/git/server"
)

type gitOptions struct {
	addr     string
	root     string
	logLevel string

	maxPush, maxUnpacked, maxObjects int64
}

func newGitCommand(run func(context.Context, *cobra.Command, gitOptions) error) *cobra.Command {
	var options gitOptions
	command := &cobra.Command{
		Use:   "git",
		Short: "Serve git repositories over http",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return run(command.Context(), command, options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.addr, "addr", ":9418", "where to serve")
	flags.StringVar(&options.root, "root", "/var/lib/git", "the directory that holds the repositories")
	flags.Int64Var(&options.maxPush, "max-push", server.DefaultMaxPush, "how many bytes one push may send")
	flags.Int64Var(&options.maxUnpacked, "max-unpacked", server.DefaultMaxUnpacked, "how many bytes the files of one push, in all their versions, may have")
	flags.Int64Var(&options.maxObjects, "max-objects", server.DefaultMaxObjects, "how many files, folders and commits one push may send")
	flags.StringVar(&options.logLevel, "log-level", "info", "debug, info, warn or error")
	return command
}

func runGit(ctx context.Context, command *cobra.Command, options gitOptions) error {
	logger, err := newLogger(command.ErrOrStderr(), options.logLevel)
	if err != nil {
		return err
	}
	made, err := server.New(server.Options{Root: options.root, MaxPush: options.maxPush, MaxUnpacked: options.maxUnpacked, MaxObjects: options.maxObjects, Logger: logger})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", options.addr)
	if err != nil {
		return fmt.Errorf("opening the git server's port: %w", err)
	}
	return made.Serve(ctx, listener)
}
