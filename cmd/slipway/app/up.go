package app

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// UpOptions are the flags of `up`.
type UpOptions struct {
	bootstrap.UpOptions // Progress and Log are set by the run

	Mode    ui.Mode
	Verbose bool

	deps *Deps
}

// NewCmdUp returns the `up` command. Tests pass run to capture the options.
func NewCmdUp(d *Deps, run func(context.Context, *UpOptions) error) *cobra.Command {
	if run == nil {
		run = runUp
	}
	o := &UpOptions{deps: d}
	var registryPort, ingressPort, ingressTLSPort portFlag
	timeout := limitFlag(10 * time.Minute)
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Create the environment, or repair it",
		Long: `Create the environment: a kind cluster, a registry on localhost, and the components of a
profile. Run it again at any time: it repairs what is missing and leaves the rest alone.
After Ctrl-C or a failure, run it again to go on, or ` + "`slipway down`" + ` to remove what is there.

Nothing outside of the environment changes, but for its context in your kubeconfig.`,
		Example: `  # the default environment
  slipway up

  # a second one beside it; ports that are taken move to the next free ones
  slipway up --name review

  # without a network, with the images of a bundle
  slipway up --images ./bundle

  # in CI: fewer lines, and a shorter limit
  slipway up --progress plain --timeout 5m`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("profile") {
				if _, err := profiles.Get(o.Profile); err != nil {
					return usage(cmd, err)
				}
			}
			o.RegistryPort, o.IngressPort, o.IngressTLSPort = int(registryPort), int(ingressPort), int(ingressTLSPort)
			o.Timeout = time.Duration(timeout)
			o.SwitchContextSet = cmd.Flags().Changed("switch-context")
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	addName(cmd, d, &o.Name)
	f.StringVar(&o.Profile, "profile", "", "the `name` of what to install; slipway profiles describes the choices (default: what the environment has, else "+profiles.Default+")")
	complete(cmd, "profile", completeProfiles)
	f.Var(&registryPort, "registry-port", "the registry's port on 127.0.0.1; one that you name must be free (default: 5000, or the next free one)")
	f.BoolVar(&o.RegistryEvents, "registry-events", true, "have the registry tell of pushes; otherwise the cluster looks every 10 seconds")
	f.Var(&ingressPort, "ingress-port", "the port on 127.0.0.1 that leads to the apps (default: 8080, or the next free one)")
	f.Var(&ingressTLSPort, "ingress-tls-port", "the same with TLS (default: 8443, or the next free one)")
	f.StringVar(&o.ImagesDir, "images", "", "a `folder` that slipway images save wrote, or another OCI layout: with it nothing is pulled, from anywhere")
	f.StringVar(&o.NodeImage, "node-image", cluster.NodeImage, "the kind node `image` of a new cluster")
	f.BoolVar(&o.SwitchContext, "switch-context", false, "make the environment's context the current one (default: only when none is set)")
	addKubeconfig(cmd, &o.Kubeconfig, "the kubeconfig `file` that gets the context (default: as kubectl chooses)")
	f.Var(&timeout, "timeout", "how long it may take until all is ready")
	addProgress(cmd, &o.Mode)
	addVerbose(cmd, &o.Verbose)
	return cmd
}

func runUp(ctx context.Context, o *UpOptions) error {
	s := newSession(ctx, o.deps.Streams, sessionOptions{verb: "up", name: o.Name, mode: o.Mode, verbose: o.Verbose, slowEnd: true})
	o.Progress, o.Log = s, s.log
	summary, err := o.deps.Up(ctx, o.UpOptions)
	if err != nil && ctx.Err() != nil {
		err = hint.Withf(err, "`slipway up%s` goes on from here; `slipway down%s` removes what was made", named(o.Name), named(o.Name))
	}
	if err := s.end(err); err != nil {
		return err
	}
	if o.Mode == ui.JSON {
		return ui.PrintResult(o.deps.Streams, summary)
	}
	return printSummary(o.deps.Streams, summary)
}

// named is the flag that a command line needs to mean this environment.
func named(name environment.Name) string {
	if name == environment.DefaultName {
		return ""
	}
	return " --name " + string(name)
}

func printSummary(streams *ui.Streams, s *bootstrap.Summary) error {
	already := ""
	if !s.Changed {
		already = "; nothing was to be done"
	}
	ui.Printf(streams, "\nEnvironment %s is ready (profile %s)%s.\n\n", s.Name, s.Profile, already)
	current := ""
	if s.Current {
		current = " (current)"
	}
	table := ui.NewTable(streams, "  ")
	table.Row(ui.Text("Context", s.Context+current)...)
	table.Row(ui.Text("Images", s.Registry+"/...")...)
	for _, url := range s.URLs {
		table.Row(ui.Text(url.Title, url.URL)...)
	}
	for _, note := range s.Notes {
		table.Row(ui.Cell{Text: "Note", Tone: ui.Strong}, ui.Cell{Text: note})
	}
	if err := table.Print(); err != nil {
		return err
	}
	context := ""
	if !s.Current {
		context = " --context " + s.Context
	}
	ui.Printf(streams, "\nTry next:\n")
	for _, next := range [][2]string{
		{"slipway dev" + named(s.Name) + " DIR", "build the app in DIR, run it, and follow your edits"},
		{"slipway status" + named(s.Name), "what runs, and how it is"},
		{"kubectl" + context + " get workloads -A", "the same, seen by the cluster"},
		{"slipway down" + named(s.Name), "remove it all"},
	} {
		table.Row(ui.Text(next[0], next[1])...)
	}
	if err := table.Print(); err != nil {
		return fmt.Errorf("writing the summary: %w", err)
	}
	return nil
}
