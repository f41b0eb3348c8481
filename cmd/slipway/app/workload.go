package app

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
)

// workloadArgument is the workload that a command is about, and where it is.
type workloadArgument struct {
	Name       environment.Name
	Workload   string
	Namespace  string // "" is the context's
	Kubeconfig string

	deps *Deps
}

// flags adds the flags that say where the workload is.
func (w *workloadArgument) flags(cmd *cobra.Command, d *Deps) {
	addName(cmd, d, &w.Name)
	cmd.Flags().StringVarP(&w.Namespace, "namespace", "n", "", "the workload's `namespace` (default: the context's)")
	addKubeconfig(cmd, &w.Kubeconfig, "the kubeconfig `file` with the environment's context (default: as kubectl chooses)")
}

// one makes a command take the name of one workload.
func (w *workloadArgument) one(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(cmd, fmt.Errorf("`%s` takes the name of one workload, but got %d", cmd.CommandPath(), len(args)))
	}
	return nil
}

// namespace is the one asked for, else the context's.
func (w *workloadArgument) namespace() string {
	if w.Namespace != "" {
		return w.Namespace
	}
	if namespace := kube.DefaultNamespace(w.Kubeconfig, w.Name.Context()); namespace != "" {
		return namespace
	}
	return "default"
}

// completeWorkload offers the workloads.
func (w *workloadArgument) completeWorkload(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return w.complete(cmd, args, w.deps.Workloads)
}

// complete offers, as the only argument, the names that list finds in the namespace.
func (w *workloadArgument) complete(cmd *cobra.Command, args []string, list func(context.Context, *rest.Config, string) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), nameCompletionLimit)
	defer cancel()
	config, err := kube.ConfigFor(w.Kubeconfig, w.Name.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names, err := list(ctx, config, w.namespace())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
