// Command slipwayd is everything of slipway that runs on Linux beside the user's machine: the controllers and
// the ingress proxy in the cluster, and the image registry and the git server in containers. It assembles packages and reads
// flags, no more; users do not call it, `slipway up` does.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if code := exitCode(err); code != 0 {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(code)
	}
}

// exitCode is what the process ends with. To be told to stop is no error, but for who has work to finish and says so.
func exitCode(err error) int {
	if special, is := errors.AsType[*exitError](err); is {
		return special.code
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	return 1
}

func run(ctx context.Context, arguments []string) error {
	limitMemory(os.Getenv, os.ReadFile)
	root := &cobra.Command{
		Use:           "slipwayd",
		Short:         "The parts of slipway that run in the cluster and beside it",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newControllerCommand(runController), newRegistryCommand(runRegistry), newGitCommand(runGit), newFetchCommand(runFetch), newVersionCommand())
	root.SetArgs(arguments)
	return root.ExecuteContext(ctx)
}

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run: func(command *cobra.Command, _ []string) {
			line := "slipwayd " + version.Version()
			if commit := version.Commit(); commit != "" {
				line += " (" + commit + ")"
			}
			fmt.Fprintln(command.OutOrStdout(), line)
		},
	}
}
