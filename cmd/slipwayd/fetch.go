package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/artifact"
)

type fetchOptions struct {
	source  artifact.Source
	dir     string
	in      string   // below dir, where command runs
	command []string // none: fetch alone
	// message is the file in which Kubernetes looks for a container's last words; it is written to if it is there.
	message string
}

// What a process ends with that never became the command: the codes of container engines.
const (
	exitNotFetched = 125
	exitNotRun     = 126
	exitNotThere   = 127
)

// speaker begins what is written for Kubernetes, so that it is told apart from words of the command.
const speaker = "slipwayd: "

// exitError is an error with an exit code of its own.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

func newFetchCommand(run func(context.Context, fetchOptions) error) *cobra.Command {
	var options fetchOptions
	command := &cobra.Command{
		Use:   "fetch URL DIR [-- COMMAND [ARG...]]",
		Short: "Unpack a source artifact into an empty directory, and become a command in it",
		Args: func(command *cobra.Command, args []string) error {
			before := len(args)
			if dash := command.ArgsLenAtDash(); dash >= 0 {
				before = dash
			}
			return cobra.ExactArgs(2)(command, args[:before])
		},
		RunE: func(command *cobra.Command, args []string) error {
			options.source.URL, options.dir, options.command = args[0], args[1], args[2:]
			return run(command.Context(), options)
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.source.Digest, "digest", "", "what the archive's digest must be (default: the one in the URL, if it names one)")
	flags.Int64Var(&options.source.MaxBytes, "max-bytes", artifact.DefaultMaxBytes, "how much the artifact may hold, unpacked")
	flags.StringVar(&options.in, "in", ".", "where below DIR the command runs")
	flags.StringVar(&options.message, "message", "/dev/termination-log", "where it is written, too, why the command did not run")
	return command
}

// runFetch returns when the source is there. With a command it returns only if that cannot be run: the process becomes it.
func runFetch(ctx context.Context, options fetchOptions) error {
	err := fetch(ctx, options)
	if len(options.command) == 0 {
		return err
	}
	if err == nil {
		err = become(options.dir, options.in, options.command)
	}
	if file, missing := os.OpenFile(options.message, os.O_WRONLY|os.O_TRUNC, 0); missing == nil {
		_, failed := fmt.Fprintf(file, "%s%v\n", speaker, err)
		err = errors.Join(err, failed, file.Close())
	}
	return err
}

func fetch(ctx context.Context, options fetchOptions) error {
	entries, err := os.ReadDir(options.dir)
	switch {
	case err != nil:
		err = fmt.Errorf("looking at the directory to unpack into: %w", err)
	case len(entries) > 0:
		err = fmt.Errorf("unpacking into %s: %w", options.dir, errors.New("it is not empty"))
	default:
		err = artifact.Fetch(ctx, options.source, options.dir)
	}
	if err != nil {
		return &exitError{err, exitNotFetched}
	}
	return nil
}

// become makes of the process a command, in a folder below dir.
func become(dir, in string, command []string) error {
	folder := filepath.Join(dir, in)
	if err := os.Chdir(folder); err != nil {
		return &exitError{fmt.Errorf("the source has no folder %s: %w", in, err), exitNotRun}
	}
	program, err := exec.LookPath(command[0])
	if err != nil {
		code := exitNotRun
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			code = exitNotThere
		}
		return &exitError{fmt.Errorf("running %s: %w", command[0], err), code}
	}
	// PWD is what a shell would say: the folder was another when this process began.
	if err := os.Setenv("PWD", folder); err != nil {
		return &exitError{err, exitNotRun}
	}
	return &exitError{fmt.Errorf("running %s: %w", program, syscall.Exec(program, command, os.Environ())), exitNotRun}
}
