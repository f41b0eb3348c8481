package app

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/internal/explain"
)

// explainedArgument is the workload or deliverable that a command explains, and where it is. Its field Workload is the
// argument as it was written.
type explainedArgument struct {
	workloadArgument

	Target explain.Target
}

// parse makes a command take one workload or deliverable.
func (e *explainedArgument) parse(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(cmd, fmt.Errorf("`%s` takes the name of one workload, or deliverable/NAME, but got %d", cmd.CommandPath(), len(args)))
	}
	target, err := explain.ParseTarget(args[0])
	if err != nil {
		return usage(cmd, err)
	}
	e.Workload, e.Target = args[0], target
	return nil
}

// completeTarget offers the workloads and the kinds, and behind a kind the names.
func (e *explainedArgument) completeTarget(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	kind, _, qualified := strings.Cut(word, "/")
	if !qualified {
		names, directive := e.complete(cmd, args, e.deps.Workloads)
		if len(args) > 0 {
			return names, directive
		}
		for _, kind := range explain.TargetKinds() {
			names = append(names, kind+"/")
		}
		return names, directive | cobra.ShellCompDirectiveNoSpace
	}
	target, err := explain.ParseTarget(kind + "/x")
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list := e.deps.Workloads
	if !target.IsWorkload() {
		list = e.deps.Deliverables
	}
	names, directive := e.complete(cmd, args, list)
	for i := range names {
		names[i] = kind + "/" + names[i]
	}
	return names, directive
}
