package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/artifact"
)

type fetchOptions struct {
	source artifact.Source
	dir    string
}

func newFetchCommand(run func(context.Context, fetchOptions) error) *cobra.Command {
	var options fetchOptions
	command := &cobra.Command{
		Use:   "fetch URL DIR",
		Short: "Unpack a source artifact into an empty directory",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			options.source.URL, options.dir = args[0], args[1]
			return run(command.Context(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.source.Digest, "digest", "", "what the archive's digest must be (default: the one in the URL, if it names one)")
	flags.Int64Var(&options.source.MaxBytes, "max-bytes", artifact.DefaultMaxBytes, "how much the artifact may hold, unpacked")
	return command
}

func runFetch(ctx context.Context, options fetchOptions) error {
	entries, err := os.ReadDir(options.dir)
	if err != nil {
		return fmt.Errorf("looking at the directory to unpack into: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("unpacking into %s: %w", options.dir, errors.New("it is not empty"))
	}
	return artifact.Fetch(ctx, options.source, options.dir)
}
