package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/explain"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// TreeOptions are the flags of `tree`.
type TreeOptions struct {
	explainedArgument

	Output string // "", json or yaml
	Now    time.Time
}

// NewCmdTree returns the `tree` command. Tests pass run to capture the options.
func NewCmdTree(d *Deps, run func(context.Context, *TreeOptions) error) *cobra.Command {
	if run == nil {
		run = runTree
	}
	o := &TreeOptions{explainedArgument: explainedArgument{workloadArgument: workloadArgument{deps: d}}}
	cmd := &cobra.Command{
		Use:   "tree WORKLOAD|KIND/NAME",
		Short: "Show a workload's way through its supply chain, as a tree",
		Long: `Show each stage of a workload's supply chain below the one from which it takes something,
with what it stamped, how it is and since when, and what it put out: a revision or an image.
Test runs, pods and the stages of a delivery are shown below what made them. With
deliverable/NAME, the stages of a deliverable's delivery alone.`,
		Example: `  slipway tree hello
  slipway tree hello -n team
  slipway tree deliverable/hello

  # for scripts
  slipway tree hello -o json | jq -r '.. | objects | select(.state == "False") | .message'`,
		Args:              o.parse,
		ValidArgsFunction: o.completeTarget,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Now = time.Now()
			return run(cmd.Context(), o)
		},
	}
	o.flags(cmd, d)
	addOutput(cmd, &o.Output, "json", "yaml")
	return cmd
}

func explainTarget(ctx context.Context, config *rest.Config, namespace string, target explain.Target) (*explain.Node, error) {
	explainer, err := explain.New(config)
	if err != nil {
		return nil, err
	}
	return explainer.Explain(ctx, namespace, target)
}

func runTree(ctx context.Context, o *TreeOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	root, err := o.deps.Explain(ctx, config, o.namespace(), o.Target)
	if err != nil {
		return err
	}
	if o.Output != "" {
		return ui.PrintData(o.deps.Streams, o.Output, root)
	}
	table := ui.NewTable(o.deps.Streams, "")
	detail := "no " + root.BlueprintWord()
	if root.Blueprint != "" {
		detail = root.BlueprintWord() + " " + root.Blueprint
	}
	kind := ""
	if !o.Target.IsWorkload() {
		kind = root.Kind
	}
	table.Row(ui.Cell{Text: o.namespace() + "/" + root.Name, Tone: ui.Strong}, ui.Cell{Text: kind}, nodeState(root), ui.Cell{Text: nodeAge(root, o.Now), Tone: ui.Quiet}, ui.Cell{Text: detail})
	if allReady(root.Children) {
		remark(table, root, "") // else it repeats what one of the stages says, and not always the one that is to blame
	}
	nodeRows(table, root.Children, "", o.Now)
	return table.Print()
}

func allReady(nodes []*explain.Node) bool {
	return !slices.ContainsFunc(nodes, func(node *explain.Node) bool {
		return node.State != metav1.ConditionTrue || !allReady(node.Children)
	})
}

// nodeRows adds a row for each node, and below it those of what has come of it.
func nodeRows(table *ui.Table, nodes []*explain.Node, before string, now time.Time) {
	for i, node := range nodes {
		branch, below := "├─ ", "│  "
		if i == len(nodes)-1 {
			branch, below = "└─ ", "   "
		}
		object := strings.TrimSpace(node.Kind + " " + node.Object)
		if strings.EqualFold(node.Name, node.Kind) {
			object = node.Object
		}
		table.Row(ui.Cell{Text: node.Name, Lead: before + branch}, ui.Cell{Text: object}, nodeState(node),
			ui.Cell{Text: nodeAge(node, now), Tone: ui.Quiet}, ui.Cell{Text: said(shortRevision(node.Revision), cached(node))})
		remark(table, node, before+below)
		nodeRows(table, node.Children, before+below, now)
	}
}

// remark adds what does not fit a column: what a node takes from elsewhere, and what is wrong with it.
func remark(table *ui.Table, node *explain.Node, before string) {
	lead := before + "   "
	if len(node.Children) > 0 {
		lead = before + "│  "
	}
	if text := said(also(node), trouble(node)); text != "" {
		table.Row(ui.Cell{Text: text, Lead: lead})
	}
}

func nodeState(node *explain.Node) ui.Cell {
	switch node.State {
	case metav1.ConditionTrue:
		return ui.Cell{Text: "Ready", Tone: ui.Good}
	case metav1.ConditionFalse:
		return ui.Cell{Text: "Failed", Tone: ui.Bad}
	}
	return ui.Cell{Text: "Waiting"}
}

func nodeAge(node *explain.Node, now time.Time) string {
	if node.Since == nil || now.Before(*node.Since) {
		return ""
	}
	return explain.Age(now.Sub(*node.Since))
}

// also names the inputs of a node that stand elsewhere in the tree than right above it.
func also(node *explain.Node) string {
	if len(node.Inputs) < 2 {
		return ""
	}
	return "takes from " + strings.Join(node.Inputs, ", ")
}

// cached says that a test run's tests were not run, since equal ones had been green.
func cached(node *explain.Node) string {
	if node.Cached {
		return "cached"
	}
	return ""
}

func trouble(node *explain.Node) string {
	if node.State == metav1.ConditionTrue {
		return ""
	}
	message := strings.TrimPrefix(node.Message, "pod "+node.Object+": ") // it stands right above
	if node.Reason == "" {
		return message
	}
	return because(node.Reason, message)
}

// said joins what is not empty.
func said(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), "; ")
}

// shortRevision keeps what people compare: the end of a reference's name, and a dozen digits of its digest.
func shortRevision(revision string) string {
	const digits = 12
	name, digest, found := strings.Cut(revision, "@")
	if !found {
		name, digest = "", revision
	}
	algorithm, hash, found := strings.Cut(digest, ":")
	if found && len(hash) > digits {
		digest = algorithm + ":" + hash[:digits]
	}
	if name == "" {
		return digest
	}
	if found {
		_, digest, _ = strings.Cut(digest, ":")
	}
	return name[strings.LastIndex(name, "/")+1:] + "@" + digest
}
