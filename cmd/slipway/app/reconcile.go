package app

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/internal/wake"
)

// ReconcileOptions are the flags of `reconcile`.
type ReconcileOptions struct {
	workloadArgument // Workload is the argument: a workload's name, or KIND/NAME

	Wait    bool
	Timeout time.Duration
	Output  string // "", json or yaml
}

// NewCmdReconcile returns the `reconcile` command. Tests pass run to capture the options.
func NewCmdReconcile(d *Deps, run func(context.Context, *ReconcileOptions) error) *cobra.Command {
	if run == nil {
		run = runReconcile
	}
	o := &ReconcileOptions{workloadArgument: workloadArgument{deps: d}}
	timeout := limitFlag(time.Minute)
	cmd := &cobra.Command{
		Use:   "reconcile WORKLOAD|KIND/NAME",
		Short: "Have the stages that follow something look again at once",
		Long: `Ask the stages of a workload that follow something outside of the cluster, or write to it
(sources, images, commits to git and releases), or one of them by its kind and name, to look
again at once, and wait until they have. build/NAME has the image built anew; it needs
"slipway build --watch" or "slipway dev" running. Pushes to the environment's own registry
and git server need no such request. The exit code is 0 when all that have looked are
ready, and 1 when one is not.`,
		Example: `  slipway reconcile hello
  slipway reconcile source/hello -n team
  slipway reconcile gitcommit/hello -n team
  slipway reconcile build/hello -n team --timeout 5m
  slipway reconcile hello --wait=false

  # for scripts
  slipway reconcile source/hello -o json | jq -r '.[].revision'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usage(cmd, fmt.Errorf("`%s` takes the name of one workload, or KIND/NAME, but got %d", cmd.CommandPath(), len(args)))
			}
			if strings.Contains(args[0], "/") {
				if _, err := wake.Parse("", args[0]); err != nil {
					return usage(cmd, err)
				}
			}
			return nil
		},
		ValidArgsFunction: o.completeTarget,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Workload, o.Timeout = args[0], time.Duration(timeout)
			return run(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Wait, "wait", true, "wait until they have looked")
	cmd.Flags().Var(&timeout, "timeout", "how long to wait")
	o.flags(cmd, d)
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

// completeTarget offers the kinds, then the workloads.
func (o *ReconcileOptions) completeTarget(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || strings.Contains(word, "/") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, directive := o.completeWorkload(cmd, args, word)
	for _, kind := range wake.Kinds() {
		names = append(names, kind+"/")
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

// askAgain finds the targets of an argument and asks them.
func askAgain(ctx context.Context, config *rest.Config, o *ReconcileOptions) ([]wake.Result, error) {
	cluster, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var targets []wake.Target
	if strings.Contains(o.Workload, "/") {
		one, err := wake.Parse(o.namespace(), o.Workload)
		if err != nil {
			return nil, err
		}
		targets = []wake.Target{one}
	} else if targets, err = wake.Workload(ctx, cluster, o.namespace(), o.Workload); err != nil {
		return nil, err
	}
	return wake.Ask(ctx, cluster, targets, time.Now().UTC().Format(time.RFC3339Nano), o.Wait)
}

func runReconcile(ctx context.Context, o *ReconcileOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	results, problem := o.deps.Reconcile(ctx, config, o)
	if problem != nil && len(results) == 0 {
		return problem
	}
	if o.Output != "" {
		err = ui.PrintData(o.deps.Streams, o.Output, results)
	} else {
		err = printReconciled(o.deps.Streams, results)
	}
	if err := cmp.Or(problem, err); err != nil { // the others' results are worth their lines
		return err
	}
	for _, one := range results {
		if one.Observed && one.Ready != metav1.ConditionTrue {
			return errNotReady
		}
	}
	return nil
}

func printReconciled(streams *ui.Streams, results []wake.Result) error {
	table := ui.NewTable(streams, "")
	for _, one := range results {
		state, said := ui.Cell{Text: "Asked", Tone: ui.Quiet}, ""
		if one.Observed {
			state, said = ui.Cell{Text: "Ready", Tone: ui.Good}, shortRevision(one.Revision)
			if one.Ready != metav1.ConditionTrue {
				state, said = ui.Cell{Text: "Not ready", Tone: ui.Bad}, because(one.Reason, one.Message)
			}
		}
		took := ""
		if one.Took > 0 {
			took = fmt.Sprintf("%.1fs", one.Took.Seconds())
		}
		table.Row(ui.Cell{Text: one.Namespace + " " + one.String(), Tone: ui.Strong}, state, ui.Cell{Text: took, Tone: ui.Quiet}, ui.Cell{Text: said})
	}
	return table.Print()
}
