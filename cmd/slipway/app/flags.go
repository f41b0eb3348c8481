package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// nameFlag is --name.
type nameFlag environment.Name

var _ pflag.Value = (*nameFlag)(nil)

func (n *nameFlag) String() string { return string(*n) }
func (n *nameFlag) Type() string   { return "name" }

func (n *nameFlag) Set(text string) error {
	name, err := environment.Parse(text)
	*n = nameFlag(name)
	return err
}

// choiceFlag is a flag with few values; allowed are its values.
type choiceFlag struct {
	value   *string
	kind    string // the word in help
	allowed []string
}

func (c *choiceFlag) String() string { return *c.value }
func (c *choiceFlag) Type() string   { return c.kind }

func (c *choiceFlag) Set(text string) error {
	if !slices.Contains(c.allowed, text) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.allowed, ", "))
	}
	*c.value = text
	return nil
}

// portFlag is a TCP port; 0 means that a default applies.
type portFlag int

func (p *portFlag) Type() string { return "port" }

func (p *portFlag) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

func (p *portFlag) Set(text string) error {
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return fmt.Errorf("a port is a number from 1 to 65535")
	}
	*p = portFlag(port)
	return nil
}

// limitFlag is a duration above zero.
type limitFlag time.Duration

func (l *limitFlag) String() string { return shortDuration(time.Duration(*l)) }
func (l *limitFlag) Type() string   { return "duration" }

func (l *limitFlag) Set(text string) error {
	limit, err := time.ParseDuration(text)
	if err != nil || limit <= 0 {
		return fmt.Errorf("a duration is a number above zero and a unit, such as 90s or 10m")
	}
	*l = limitFlag(limit)
	return nil
}

// shortDuration is Go's notation without zero parts: 10m, not 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// nameCompletionLimit keeps the Tab key from hanging on an engine that does not answer.
const nameCompletionLimit = 2 * time.Second

func addName(cmd *cobra.Command, d *Deps, name *environment.Name) {
	*name = environment.DefaultName
	cmd.Flags().Var((*nameFlag)(name), "name", "the environment's name")
	complete(cmd, "name", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), nameCompletionLimit)
		defer cancel()
		names, err := d.List(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var texts []string
		for _, name := range names {
			texts = append(texts, string(name))
		}
		return texts, cobra.ShellCompDirectiveNoFileComp
	})
}

func addProgress(cmd *cobra.Command, mode *ui.Mode) {
	*mode = ui.Auto
	addChoice(cmd, (*string)(mode), "progress", "", "mode", ui.Modes(),
		"how progress is shown: auto (live on a terminal), plain (lines on standard error), or json (an event per line on standard output, the last one the result)")
}

// addOutput adds -o; the empty format is for people.
func addOutput(cmd *cobra.Command, format *string, allowed ...string) {
	addChoice(cmd, format, "output", "o", "format", allowed, "print "+strings.Join(allowed, " or ")+", for programs")
}

func addChoice(cmd *cobra.Command, value *string, name, short, kind string, allowed []string, usage string) {
	cmd.Flags().VarP(&choiceFlag{value: value, kind: kind, allowed: allowed}, name, short, usage)
	complete(cmd, name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
}

func addKubeconfig(cmd *cobra.Command, path *string, usage string) {
	cmd.Flags().StringVar(path, "kubeconfig", "", usage)
}

func addVerbose(cmd *cobra.Command, verbose *bool) {
	cmd.Flags().BoolVarP(verbose, "verbose", "v", false, "also write the log to standard error")
}

func completeProfiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var choices []string
	for _, profile := range profiles.All() {
		choices = append(choices, profile.Name+"\t"+profile.Summary)
	}
	return choices, cobra.ShellCompDirectiveNoFileComp
}

// complete registers a flag's completion; that fails only for a flag that does not exist.
func complete(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}
