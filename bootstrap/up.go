// Package bootstrap makes, repairs, shows and removes an environment: the engine's network, the registry, the kind
// cluster, and the components of a profile. There is no state file: what is there is read from the engine and the
// cluster, and each step makes its part so, or finds that it is. Following an app is the business of package dev.
package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

// UpOptions say what environment `up` makes.
type UpOptions struct {
	Name    environment.Name
	Profile string // a name of package profiles; "" means the one that the environment has, else profiles.Default
	// RegistryPort is the registry's port on 127.0.0.1. 0 means the one the environment has, else 5000, else the
	// next free one; any other port that is taken is an error.
	RegistryPort int
	// RegistryEvents is whether the registry tells of pushes. Without, the cluster looks every 10 s.
	RegistryEvents bool
	// ImagesDir is a bundle of images (see package bundle). With one, nothing is pulled from anywhere: an image is in the
	// engine or in the bundle. "" is none.
	ImagesDir string
	// SwitchContext makes the environment's context the current one; it is heeded when SwitchContextSet is true,
	// and otherwise the context is switched only when none is set.
	SwitchContext, SwitchContextSet bool
	// Kubeconfig is the file to write; "" means kubectl's rules.
	Kubeconfig string
	// IngressPort and IngressTLSPort lead to the apps, on 127.0.0.1. 0 means the ones the environment has, else
	// 8080 and 8443, else the next free ones.
	IngressPort, IngressTLSPort int
	// NodeImage is the kind node image; "" is the one that this slipway was released with.
	NodeImage string
	// Timeout limits the whole; 0 is 10 minutes.
	Timeout  time.Duration
	Progress ui.Progress
	Log      *slog.Logger
}

// Summary is what the user gets.
type Summary struct {
	Name     environment.Name `json:"name"`
	Profile  string           `json:"profile"`
	Context  string           `json:"context"`
	Current  bool             `json:"currentContext"` // whether the context is the current one
	Registry string           `json:"registry"`
	URLs     []URL            `json:"urls"`
	Notes    []string         `json:"notes,omitempty"` // what the user should know, such as a port that moved
	Changed  bool             `json:"changed"`         // false: everything was there already
}

// URL is an address that the user can open.
type URL struct {
	Title string `json:"title"`
	URL   string `json:"url"`
}

// defaultTimeout is long because a slow connection may have to pull the node image.
const defaultTimeout = 10 * time.Minute

// Up makes the environment, or repairs it. When it fails or ctx ends, what was made stays: Up goes on from there,
// and Down removes it.
func Up(ctx context.Context, o UpOptions) (*Summary, error) {
	if o.Profile == "" {
		o.Profile = installedProfile(ctx, o.Name)
	}
	profile, err := profiles.Get(o.Profile)
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	limited, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()

	u := &up{UpOptions: o, profile: profile}
	defer u.close()
	if o.ImagesDir != "" {
		if u.bundle, err = bundle.Open(o.ImagesDir); err != nil {
			return nil, err
		}
	}
	changed, err := runSteps(limited, u.steps(), o.Progress)
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = hint.Withf(err, "the limit was %v (--timeout); run `slipway up` again to go on, or `slipway diagnose` to see what is wrong", o.Timeout)
		}
		return nil, err
	}
	return u.summary(changed), nil
}

// installedProfile is the profile that an environment was last given, or the default: to repair an environment is not to
// change what it is.
func installedProfile(ctx context.Context, name environment.Name) string {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return profiles.Default // the first step says what is wrong with the engine
	}
	defer engine.Close()
	content, err := engine.ReadFile(ctx, name.Node(), profileFile)
	if err != nil {
		return profiles.Default
	}
	if _, err := profiles.Get(strings.TrimSpace(string(content))); err != nil {
		return profiles.Default
	}
	return strings.TrimSpace(string(content))
}

// steps is `up`, to be read from top to bottom. What needs only the engine runs beside kubeadm.
func (u *up) steps() []step {
	name := string(u.Name)
	steps := []step{
		{id: "engine", title: "Docker engine", run: u.connect},
		{id: "network", title: "Network " + name, needs: []string{"engine"}, run: u.ensureNetwork},
		{id: "node-image", title: "Node image", needs: []string{"engine"}, run: u.ensureNodeImage},
		{id: "registry", title: "Registry", needs: []string{"network"}, run: u.ensureRegistry},
		{id: "cluster", title: "Cluster " + name, needs: []string{"network", "node-image"}, run: u.ensureCluster},
		{id: "kubeconfig", title: "Context " + u.Name.Context(), needs: []string{"cluster"}, run: u.mergeKubeconfig},
		{id: "node", title: "Node's registry names", needs: []string{"cluster", "registry"}, run: u.configureNode},
		{id: "images", title: "Images in the registry", needs: []string{"registry"}, run: u.pushImages},
		{id: "kinds", title: "Kinds and access rules", needs: []string{"cluster", "registry"}, run: u.applyBase},
		{id: "controller", title: "Supply-chain controller", needs: []string{"kinds", "images", "node"}, run: u.ensureController},
	}
	last := []string{"controller", "kubeconfig"}
	if u.profile.Has(profiles.Git) {
		steps = append(steps, step{id: "git", title: "Git server", needs: []string{"registry"}, run: u.ensureGit})
		last = append(last, "git")
	}
	if u.profile.Has(profiles.CertManager) {
		steps = append(steps,
			step{id: "cert-manager", title: "cert-manager", needs: []string{"kinds", "images", "node"}, run: u.ensureCertManager},
			step{id: "webhooks", title: "Admission webhooks", needs: []string{"cert-manager", "controller"}, run: u.ensureWebhooks})
		last = append(last, "cert-manager", "webhooks")
	}
	return append(steps,
		step{id: "profile", title: "Profile " + u.profile.Name, needs: []string{"kinds"}, run: u.applyProfile},
		step{id: "prune", title: "Leftovers of another profile", needs: append(last, "profile"), run: u.prune},
		step{id: "ready", title: "Supply chains ready", needs: []string{"prune"}, run: u.awaitProfile})
}

func (u *up) summary(changed bool) *Summary {
	s := &Summary{
		Name: u.Name, Profile: u.profile.Name, Context: u.Name.Context(), Changed: changed, Current: u.contextIsCurrent,
		Registry: fmt.Sprintf("localhost:%d", u.registryPort), Notes: u.notes.all(),
	}
	s.URLs = []URL{
		{Title: "Apps", URL: appsURL(u.ingressPort)},
		{Title: "Registry", URL: fmt.Sprintf("http://localhost:%d/v2/", u.registryPort)},
	}
	if u.gitPort != 0 {
		s.URLs = append(s.URLs, URL{Title: "Git", URL: gitURL(fmt.Sprintf("localhost:%d", u.gitPort))})
	}
	return s
}

func gitURL(host string) string { return "http://" + host + "/" }

func appsURL(port int) string { return fmt.Sprintf("http://localhost:%d/", port) }
