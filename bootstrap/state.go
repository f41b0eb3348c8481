package bootstrap

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// up is one run of Up. The fields below the options are found by one step and used by those that need it; the
// graph's order makes that safe.
type up struct {
	UpOptions
	profile profiles.Profile
	bundle  *bundle.Bundle // of --images; nil without

	engine  *docker.Engine // by engine
	info    docker.Info
	cluster *cluster.Cluster

	image       v1.Image // slipwayd's, by registry
	imageDigest v1.Hash

	registryPort                int // by network
	ingressPort, ingressTLSPort int // by cluster
	gitPort                     int // by network; 0 without a git server
	node                        *docker.Container
	client                      *kube.Client // by cluster
	fresh                       bool         // the cluster was made in this run
	restarted                   bool         // the node was started in this run: what the cluster says of its pods may be from before
	kubeconfig                  []byte
	contextIsCurrent            bool          // by kubeconfig
	left                        map[item]bool // of the profile's objects, those that somebody has changed; by profile

	inventory inventory
	notes     notes
}

// notes collects what the user should know, from any step.
type notes struct {
	mutex sync.Mutex
	lines []string
}

func (n *notes) add(line string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.lines = append(n.lines, line)
}

func (n *notes) all() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.lines
}

func (u *up) close() {
	if u.engine != nil {
		_ = u.engine.Close()
	}
}

// connect reaches the engine and looks at the host before anything is made.
func (u *up) connect(ctx context.Context, _ ui.Task) (outcome, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return outcome{}, err
	}
	u.engine = engine
	if u.info, err = engine.Info(ctx); err != nil {
		return outcome{}, err
	}
	u.cluster = cluster.New(u.Name, engine, u.Log)
	var errs []error
	for _, finding := range checkHost(engine, u.info) {
		switch finding.Level {
		case LevelError:
			errs = append(errs, finding.err())
		case LevelWarning:
			u.Progress.Warn("%s; %s", finding.Message, finding.Fix)
		}
	}
	return outcome{detail: "version " + u.info.Version + ", " + u.info.OS + "/" + u.info.Architecture}, errors.Join(errs...)
}

func mustJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // the callers pass plain structs
	}
	return string(text)
}
