package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// The groups in which help lists the verbs.
const (
	groupEnvironment = "environment"
	groupWork        = "work"
	groupChains      = "chains"
	groupLook        = "look"
)

// NewCmdRoot returns the `slipway` command with all verbs.
func NewCmdRoot(d *Deps) *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "A whole software supply chain on your machine, run on every save",
		Long: `Slipway gives you a whole software supply chain on your machine: a kind cluster, a
registry on localhost:5000, cert-manager, and the controllers that take an image or
source to a running app; and a loop that drives all of it on every save.

Exit codes: 0 fine, 1 failed or not ready, 2 wrong usage, 130 interrupted.`,
		Example: `  # from nothing to a running app
  slipway up
  slipway dev examples/hello

  # look at it, and remove it all
  slipway status
  slipway down`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true}, // there is one with examples
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			message := fmt.Sprintf("there is no command %q", args[0])
			if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
				message += "; did you mean " + strings.Join(similar, " or ") + "?"
			}
			return usage(cmd, fmt.Errorf("%s", message))
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(d.Streams.In)
	root.SetOut(d.Streams.Out)
	root.SetErr(d.Streams.Err)
	root.SetFlagErrorFunc(usage)
	root.SuggestionsMinimumDistance = 2
	root.DisableFlagsInUseLine = true
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages ", "Flags.FlagUsagesWrapped 80 "))
	cobra.EnableCommandSorting = false // the order below is the order in which a newcomer needs them
	root.AddGroup(
		&cobra.Group{ID: groupEnvironment, Title: "The environment:"},
		&cobra.Group{ID: groupWork, Title: "Your app:"},
		&cobra.Group{ID: groupChains, Title: "Your supply chains:"},
		&cobra.Group{ID: groupLook, Title: "Look and find out:"})
	for _, verb := range []struct {
		group   string
		command *cobra.Command
	}{
		{groupEnvironment, NewCmdUp(d, nil)},
		{groupEnvironment, NewCmdDown(d, nil)},
		{groupEnvironment, NewCmdStatus(d, nil)},
		{groupWork, NewCmdInit(d, nil)},
		{groupWork, NewCmdDev(d, nil)},
		{groupWork, NewCmdBuild(d, nil)},
		{groupWork, NewCmdLogs(d, nil)},
		{groupWork, NewCmdTree(d, nil)},
		{groupWork, NewCmdWhy(d, nil)},
		{groupWork, NewCmdReconcile(d, nil)},
		{groupChains, NewCmdLint(d, nil)},
		{groupChains, NewCmdTemplate(d)},
		{groupLook, NewCmdProfiles(d, nil)},
		{groupLook, NewCmdRegistry(d)},
		{groupLook, NewCmdGit(d)},
		{groupLook, NewCmdImages(d)},
		{groupLook, NewCmdDoctor(d, nil)},
		{groupLook, NewCmdDiagnose(d, nil)},
		{"", NewCmdVersion(d, nil)},
		{"", NewCmdCompletion(d)},
	} {
		verb.command.GroupID = verb.group
		root.AddCommand(verb.command)
	}
	return root
}
