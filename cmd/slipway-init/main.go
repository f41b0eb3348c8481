//go:build linux

// Command slipway-init is the supervisor of the fast lane in an app's pod. An init container installs it into a volume
// (install, and seed for the folders that files are synced into), and the app's container runs it in front of the
// app's program (run). Users do not call it; the templates do.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"slipway.dev/slipway/internal/supervise"
	"slipway.dev/slipway/internal/supervise/wire"
)

const usage = `Usage:
  slipway-init install DIR                  copy this program into DIR
  slipway-init seed DIR FOLDER...           copy folders of this container into DIR
  slipway-init run [flags] -- PROGRAM...    run a program, and what is synced of it
`

func main() {
	if len(os.Args) < 2 {
		end(2, usage)
	}
	arguments := os.Args[2:]
	var err error
	switch command := os.Args[1]; {
	case command == "install" && len(arguments) == 1:
		err = supervise.Install(arguments[0])
	case command == "seed" && len(arguments) > 0:
		err = supervise.Seed(arguments[0], arguments[1:])
	case command == "run":
		var code int
		if code, err = run(arguments); err == nil {
			os.Exit(code)
		}
	default:
		end(2, usage)
	}
	if err != nil {
		end(1, "slipway-init: "+err.Error()+"\n")
	}
}

func end(code int, text string) {
	fmt.Fprint(os.Stderr, text)
	os.Exit(code)
}

// folders is a flag that may come several times.
type folders []string

func (f *folders) String() string         { return strings.Join(*f, ",") }
func (f *folders) Set(value string) error { *f = append(*f, value); return nil }

func run(arguments []string) (int, error) {
	var o supervise.Options
	flags := flag.NewFlagSet("slipway-init run", flag.ExitOnError)
	flags.StringVar(&o.Dir, "dir", "/slipway", "the supervisor's `folder`")
	flags.IntVar(&o.Port, "port", 0, "the `port` on which the program listens")
	flags.DurationVar(&o.Grace, "grace", supervise.DefaultGrace, "how long a program that is replaced may take to end")
	flags.DurationVar(&o.Hold, "hold", supervise.DefaultHold, "how long a synced program that has ended waits for the next, with no client there")
	at := flags.Int("at", wire.DefaultPort, "the `port` on which changes are taken")
	flags.Var((*folders)(&o.Folders), "folder", "a `folder` into which files may be synced; may come several times")
	if err := flags.Parse(arguments); err != nil {
		return 0, err
	}
	if o.Command = flags.Args(); len(o.Command) == 0 {
		end(2, usage)
	}
	for _, variable := range os.Environ() {
		if token, found := strings.CutPrefix(variable, wire.TokenVariable+"="); found {
			o.Token = token // which is not the program's business
		} else {
			o.Environment = append(o.Environment, variable)
		}
	}
	o.Stdout, o.Stderr = os.Stdout, os.Stderr
	door, err := supervise.Open(*at)
	if err != nil {
		// The app is worth more than its fast lane.
		fmt.Fprintf(os.Stderr, "slipway-init: nothing can be synced: %v\n", err)
	}
	o.Door = door
	return supervise.Run(context.Background(), o)
}
