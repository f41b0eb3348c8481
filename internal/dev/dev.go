// Package dev is the inner loop: it builds a source directory, pushes the image, points the workload at it and follows
// the supply chain until a pod runs that very image; then it waits for the next save and does it again, for one app or
// for several side by side. What follows from the objects in the cluster is decided in state.go, without I/O; everything
// else fetches for it or shows it. Building, pushing and watching files are in packages build, registry and watch.
package dev

import (
	"context"
	"errors"
	"io"
	"time"

	"k8s.io/client-go/rest"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/ui"
)

// DefaultTimeout is how long a run may take.
const DefaultTimeout = 5 * time.Minute

// DefaultJobs is how many apps are built at once: a compiler uses several processors by itself.
const DefaultJobs = 2

// App is one app of a session. Dir and Builder must be set.
type App struct {
	Dir          string        // the source directory
	WorkloadFile string        // "" means workload.yaml in Dir
	Main         string        // which main package to build; "" means the only one
	Builder      build.Builder // of this app alone; stays the caller's to close
	Sync         bool          // whether the compiled program goes straight into the pods; rules in slipway.yaml do it, too
	Ports        []int32       // of the program, to be forwarded beside those that its Deployment declares
	LocalPorts   map[int32]int // where ports of the program are wanted on this machine; others are where localPort says
	Ignore       []string      // files and folders, as paths, that are no source, whatever ignore files say
}

// Options are what Run needs. Apps (at least one), Screen, Out and Kube must be set.
type Options struct {
	Apps []App
	Jobs int // builds at once; 0 means DefaultJobs

	Namespace        string // wins over the workload files'; "" leaves it to those
	DefaultNamespace string // where neither names one; "" means "default"

	Once    bool          // do one run of each app and return how it went, instead of following saves
	Timeout time.Duration // of a run; 0 means DefaultTimeout

	Screen ui.Session
	Out    io.Writer // gets the apps' URLs, in the order of Apps, when all runs of Once have succeeded
	Kube   *rest.Config
	By     string // who answers Builds, and is different for each process; "" means "slipway dev"
	// Reload reads the kubeconfig again, for a cluster that was made anew while the loop runs; nil means that Kube stays.
	Reload func() (*rest.Config, error)
	// Open shows a URL to the user, when a key asks for it; nil means that there is nothing to show it with.
	Open func(ctx context.Context, url string) error

	// ReportFile is where the report of each app's last run goes, as JUnit XML, with JSON beside it; a name that ends in
	// .json turns the two around. "" means none.
	ReportFile string
	// Diagnose gathers logs and objects after a failure with Once, and returns the folder that holds them; nil means
	// not to.
	Diagnose func(context.Context) (string, error)
	// Collect removes images that are too many, and says what it did, "" for nothing. It is called beside the loop, now and
	// then, after a run that succeeded; nil means that nobody does it.
	Collect func(context.Context) (string, error)
	// Prefetch has the node pull an image that was pushed, beside the run, so that the image is there when a pod asks for
	// it. An error is no failure of the run, whose pod pulls by itself then. nil means that pods always do.
	Prefetch func(ctx context.Context, image string) error
	// Observe is called after each run that was not superseded, by one goroutine at a time; nil is allowed.
	Observe func(Report)
	// Up is the command that makes the environment, for advice; "" means "slipway up".
	Up string
}

// ErrTimeout is the cause of a run that took longer than its limit.
var ErrTimeout = errors.New("the time limit was reached")

// ErrQuit is what Run returns when the user has pressed the key for it.
var ErrQuit = errors.New("ended by the user")

// errSuperseded is the cause of a run that ended because something newer was saved.
var errSuperseded = errors.New("superseded by a newer save")

// Run does one run of each app (Once), or follows saves until ctx ends and returns its error. Mistakes that one can see
// before the first run, such as a workload file that does not parse, end it at once; later ones are shown, and it goes
// on. What goes wrong with one app does not touch the others.
func Run(ctx context.Context, o Options) error {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Jobs == 0 {
		o.Jobs = DefaultJobs
	}
	if o.Up == "" {
		o.Up = "slipway up"
	}
	if o.By == "" {
		o.By = "slipway dev"
	}
	if o.Observe == nil {
		o.Observe = func(Report) {}
	}
	s, err := newSession(ctx, o)
	if err != nil {
		if o.Once && o.ReportFile != "" {
			// CI must hear of this, too; that it cannot be written is the smaller trouble.
			_ = writeReports(o.ReportFile, []Report{newRecord(o.Screen, 1, nil).finish(err)})
		}
		return err
	}
	defer s.close()
	if o.Once {
		return s.once(ctx)
	}
	err = s.follow(ctx)
	s.beside.end() // whoever ends the loop does not wait for what can be done the next time
	return err
}
