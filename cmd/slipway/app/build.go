package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/dev"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/fulfil"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
	"slipway.dev/slipway/registry/events"
)

// BuildOptions are the flags of `build`.
type BuildOptions struct {
	Name       environment.Name
	Namespace  string // "" is all
	Watch      bool
	Jobs       int
	Kubeconfig string
	Output     string // "" or json

	Mode    ui.Mode
	Verbose bool

	deps *Deps
}

// NewCmdBuild returns the `build` command. Tests pass run to capture the options.
func NewCmdBuild(d *Deps, run func(context.Context, *BuildOptions) error) *cobra.Command {
	if run == nil {
		run = runBuild
	}
	o := &BuildOptions{deps: d}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the images that supply chains ask for",
		Long: `Build the images that supply chains ask for, on this machine: fetch the source of each Build
that waits for an image, build it as its slipway.yaml says (or as what is there suggests),
push the image, and tell the Build. It ends when all that is asked for now is done: with 1
when something does not build. With --watch it goes on until Ctrl-C, also in an environment
that is removed and made again meanwhile.

A folder that ` + "`slipway dev`" + ` follows needs no ` + "`slipway build`" + `: dev answers for it, with the
same digest.`,
		Example: `  slipway build
  slipway build --watch
  slipway build --watch -n team

  # the images, for a script
  slipway build -o json | jq -r '.[].image'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Jobs < 1 {
				return usage(cmd, errors.New("--jobs must be 1 or more"))
			}
			if o.Output != "" && o.Mode == ui.JSON {
				return usage(cmd, errors.New("both --output and --progress json write to standard output: choose one"))
			}
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	addName(cmd, d, &o.Name)
	f.StringVarP(&o.Namespace, "namespace", "n", "", "only the Builds of this `namespace` (default: those of all)")
	f.BoolVarP(&o.Watch, "watch", "w", false, "go on until Ctrl-C, and build what is asked for from now on, too")
	f.IntVar(&o.Jobs, "jobs", fulfil.DefaultJobs, "how many images are built at once")
	addOutput(cmd, &o.Output, "json")
	addKubeconfig(cmd, &o.Kubeconfig, "the kubeconfig `file` with the environment's context (default: as kubectl chooses)")
	addProgress(cmd, &o.Mode)
	addVerbose(cmd, &o.Verbose)
	return cmd
}

func runBuild(ctx context.Context, o *BuildOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	s := newSession(ctx, o.deps.Streams, sessionOptions{verb: "build", name: o.Name, mode: o.Mode, verbose: o.Verbose})
	defer s.Close() // a panic must leave the terminal as it was, too
	if o.Watch {
		return s.end(o.watch(ctx, config, s))
	}
	outcomes, err := o.once(ctx, config, s)
	if err = s.end(err); err != nil {
		return err
	}
	return o.show(outcomes)
}

// up is the command that makes the environment, for advice.
func (o *BuildOptions) up() string { return "slipway up" + named(o.Name) }

// once builds what is asked for now.
func (o *BuildOptions) once(ctx context.Context, config *rest.Config, progress ui.Progress) ([]fulfil.Outcome, error) {
	around, err := o.deps.LookAround(ctx, config, o.up())
	if err != nil {
		return nil, err
	}
	cluster, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return o.deps.Build(ctx, o.fulfilment(around, cluster, progress))
}

// watch builds what is asked for until ctx ends, also in an environment that is made anew meanwhile.
func (o *BuildOptions) watch(ctx context.Context, config *rest.Config, progress ui.Progress) error {
	stay := dev.StayOptions{
		Kube: config, Up: o.up(), Progress: progress,
		Reload: func() (*rest.Config, error) { return kube.ConfigFor(o.Kubeconfig, o.Name.Context()) },
	}
	return o.deps.Stay(ctx, stay, func(ctx context.Context, around *dev.Environment, cluster dynamic.Interface) error {
		options := o.fulfilment(around, cluster, progress)
		options.Events = "http://" + options.Registry + events.Path
		options.Engine = docker.Connect
		options.Observe = func(one fulfil.Outcome) { o.tell(progress, one) }
		progress.Say("Building what supply chains ask for; Ctrl-C ends it")
		return o.deps.WatchBuilds(ctx, options)
	})
}

// fulfilment is how builds are made in an environment.
func (o *BuildOptions) fulfilment(around *dev.Environment, cluster dynamic.Interface, progress ui.Progress) fulfil.Options {
	return fulfil.Options{
		Cluster: cluster, Namespace: o.Namespace,
		Registry: around.Registry, Hosts: map[string]string{around.Name.RegistryInCluster(): around.Registry}, Platform: around.Platform,
		By: builderName("slipway build"), NewBuilder: newBuilder, Pusher: registry.NewPusher(nil), Jobs: o.Jobs, Progress: progress,
	}
}

// builderName tells this process from others, to people.
func builderName(what string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	return fmt.Sprintf("%s on %s (process %d)", what, host, os.Getpid())
}

// tell shows what became of one request of many.
func (o *BuildOptions) tell(progress ui.Progress, one fulfil.Outcome) {
	if one.Error != "" {
		progress.Warn("%s/%s does not build:\n%s", one.Namespace, one.Name, one.Error)
	}
	if o.Output == "" {
		return
	}
	if line, err := json.Marshal(one); err == nil {
		ui.Printf(o.deps.Streams, "%s\n", line)
	}
}

// show prints what became of all that was asked for.
func (o *BuildOptions) show(outcomes []fulfil.Outcome) error {
	failed := false
	for _, one := range outcomes {
		failed = failed || one.Error != ""
	}
	switch {
	case o.Output != "":
		if outcomes == nil {
			outcomes = []fulfil.Outcome{}
		}
		if err := ui.PrintData(o.deps.Streams, o.Output, outcomes); err != nil {
			return err
		}
	case len(outcomes) == 0:
		ui.Printf(o.deps.Streams, "No image is asked for.\n")
	default:
		for _, one := range outcomes {
			text := one.Image
			if one.Error != "" {
				text = "does not build:\n" + one.Error
			}
			ui.Printf(o.deps.Streams, "%s/%s %s\n", one.Namespace, one.Name, text)
		}
	}
	if failed {
		return errNotReady
	}
	return nil
}
