package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/embedded/staticserver"
	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/staticsite"
	"slipway.dev/slipway/internal/collect"
	"slipway.dev/slipway/internal/dev"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// DevOptions are the flags of `dev`.
type DevOptions struct {
	Name       environment.Name
	Dirs       []string
	Namespace  string // "" is the context's
	File       string // "" is workload.yaml in each of Dirs
	Main       string // "" is the only main package
	Jobs       int    // builds at once
	Once       bool
	Sync       bool // into the running pods
	Timeout    time.Duration
	Report     string // "" writes none
	Kubeconfig string
	Budget     int64 // bytes that images may take

	Mode    ui.Mode
	Verbose bool

	deps *Deps
}

// NewCmdDev returns the `dev` command. Tests pass run to capture the options.
func NewCmdDev(d *Deps, run func(context.Context, *DevOptions) error) *cobra.Command {
	if run == nil {
		run = runDev
	}
	o := &DevOptions{deps: d}
	timeout := limitFlag(dev.DefaultTimeout)
	cmd := &cobra.Command{
		Use:   "dev [DIR...]",
		Short: "Run the app in a folder through its supply chain, on every save",
		Long: `Build the app in DIR (default: this folder), push its image, apply its workload, and follow
the supply chain until the app is ready; then watch the folder and do it again on every
save. A build error is shown, and the loop goes on. Ctrl-C ends it; the app stays.

With --sync, or sync rules in slipway.yaml, what is saved goes straight into the running
pod, where the process starts again: no new pod, in well under a second. The whole chain
follows when saves rest, and what it arrives at is compared with what was synced.

Several folders are several apps, side by side: what goes wrong with one leaves the
others alone.`,
		Example: `  slipway dev
  slipway dev examples/hello
  slipway dev front back
  slipway dev --sync examples/hello

  # in CI: once, with a report; the exit code is 1 when an app does not become ready
  slipway dev --once --report out/report.xml examples/hello`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Dirs = args; len(args) == 0 {
				o.Dirs = []string{"."}
			}
			for _, flag := range []string{"file", "main"} {
				if len(args) > 1 && cmd.Flags().Changed(flag) {
					return usage(cmd, fmt.Errorf("--%s is for one app, and there are %d folders", flag, len(args)))
				}
			}
			if o.Sync && o.Once {
				return usage(cmd, errors.New("--sync is for the saves that follow, and with --once there are none"))
			}
			if o.Jobs < 1 {
				return usage(cmd, fmt.Errorf("--jobs must be 1 or more"))
			}
			o.Timeout = time.Duration(timeout)
			return run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	addName(cmd, d, &o.Name)
	f.StringVarP(&o.Namespace, "namespace", "n", "", "the workload's `namespace` (default: the one it names, else the context's)")
	f.StringVarP(&o.File, "file", "f", "", "the workload's `file` (default: workload.yaml in DIR)")
	f.StringVar(&o.Main, "main", "", "the `package` to build, such as ./cmd/server, where DIR has several that are programs")
	f.IntVar(&o.Jobs, "jobs", dev.DefaultJobs, "how many apps are built at once")
	f.BoolVar(&o.Once, "once", false, "build and deploy once, and end: 0 when every app is ready, 1 when not")
	f.BoolVar(&o.Sync, "sync", false, "bring what is saved straight into the running pods; the whole chain follows when saves rest")
	f.StringVar(&o.Report, "report", "", "the `file` for a JUnit XML report of each app's last run; a JSON one is written beside it")
	f.Var(&timeout, "timeout", "how long one round may take")
	addDiskBudget(cmd, &o.Budget)
	addKubeconfig(cmd, &o.Kubeconfig, "the kubeconfig `file` with the environment's context (default: as kubectl chooses)")
	addProgress(cmd, &o.Mode)
	addVerbose(cmd, &o.Verbose)
	return cmd
}

// runDev connects the loop to the environment, the builder and the screen.
func runDev(ctx context.Context, o *DevOptions) error {
	config, err := kube.ConfigFor(o.Kubeconfig, o.Name.Context())
	if err != nil {
		return err
	}
	apps, closeBuilders, err := o.apps()
	if err != nil {
		return err
	}
	defer closeBuilders()
	images := &prefetcher{name: o.Name}
	defer images.Close()
	var screen ui.Session
	s := newSession(ctx, o.deps.Streams, sessionOptions{verb: "dev", name: o.Name, mode: o.Mode, verbose: o.Verbose,
		display: func(mode ui.Mode) ui.Display {
			screen = ui.NewSession(o.deps.Streams, mode)
			return screen
		}})
	defer s.Close() // a panic must leave the terminal as it was, too
	err = o.deps.Dev(ctx, dev.Options{
		Apps: apps, Jobs: o.Jobs,
		Namespace: o.Namespace, DefaultNamespace: kube.DefaultNamespace(o.Kubeconfig, o.Name.Context()),
		Once: o.Once, Timeout: o.Timeout,
		Screen: screen, Out: resultOut(o), Kube: config, Open: openBrowser,
		Reload:     func() (*rest.Config, error) { return kube.ConfigFor(o.Kubeconfig, o.Name.Context()) },
		ReportFile: o.Report, Up: "slipway up" + named(o.Name), By: builderName("slipway dev"),
		Prefetch: images.Pull,
		Collect: func(ctx context.Context) (string, error) {
			report, err := o.deps.Collect(ctx, o.Name, collect.Options{Budget: o.Budget, Grace: collect.DefaultGrace})
			if err != nil || report.Removed() == 0 {
				return "", err
			}
			return fmt.Sprintf("Removed %d old images (%s), since they took more than %s", report.Removed(), byteSize(report.Freed()), byteSize(o.Budget)), nil
		},
		Diagnose: func(ctx context.Context) (string, error) {
			report, err := collectDiagnosis(ctx, o.Name, "", namespaceList(o.Namespace))
			return report.Dir, err
		},
	})
	if errors.Is(err, dev.ErrQuit) {
		err = nil
	}
	return s.end(err)
}

// apps are the folders, each with a builder of its own, which the returned function closes.
func (o *DevOptions) apps() ([]dev.App, func(), error) {
	var apps []dev.App
	closeAll := func() {
		for _, one := range apps {
			_ = one.Builder.Close() // what is left is a temporary folder
		}
	}
	for _, dir := range o.Dirs {
		one, err := o.app(dir)
		if err != nil {
			closeAll()
			return nil, nil, err
		}
		apps = append(apps, one)
	}
	return apps, closeAll, nil
}

// app is one folder, as its slipway.yaml has it. What flags say wins.
func (o *DevOptions) app(dir string) (dev.App, error) {
	file, err := appfile.Load(dir)
	if err != nil {
		return dev.App{}, err
	}
	one := dev.App{Dir: dir, WorkloadFile: o.File, Main: o.Main, Sync: o.Sync, Ignore: file.Ignored(dir), LocalPorts: map[int32]int{}}
	if one.WorkloadFile == "" {
		one.WorkloadFile = filepath.Join(dir, filepath.FromSlash(file.WorkloadFile()))
	}
	for _, port := range file.Ports {
		one.Ports = append(one.Ports, int32(port.Container))
		if port.Local != 0 {
			one.LocalPorts[int32(port.Container)] = port.Local
		}
	}
	one.Builder, err = newBuilder()
	return one, err
}

// resultOut is where the app's URL goes: with --progress json, standard output is for events alone.
func resultOut(o *DevOptions) io.Writer {
	if o.Mode == ui.JSON {
		return io.Discard
	}
	return o.deps.Streams.Out
}

func namespaceList(namespace string) []string {
	if namespace == "" {
		return nil
	}
	return []string{namespace}
}

// newBuilder builds whatever the folder holds. The base is of what ships with slipway, so that images do not depend on
// the machine.
func newBuilder() (build.Builder, error) {
	certificates, err := embedded.CACertificates()
	if err != nil {
		return nil, err
	}
	zones, err := embedded.ZoneInfo()
	if err != nil {
		return nil, err
	}
	return choose.New(choose.Options{
		Own:    baseimage.Own{CACertificates: certificates, ZoneInfo: zones},
		Engine: docker.Connect,
		Server: staticsite.Server{Layer: staticserver.Layer, Program: staticserver.Program, Architecture: staticserver.Architecture},
	}), nil
}
