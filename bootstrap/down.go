package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/bootstrap/kubeconfig"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
)

// DownOptions say which environment is removed.
type DownOptions struct {
	Name environment.Name
	// KeepRegistry leaves the registry's volume, so that the next `up` has its images.
	KeepRegistry bool
	// Kubeconfig is the file that the context is taken out of; "" means kubectl's rules.
	Kubeconfig string
	Progress   ui.Progress
	Log        *slog.Logger
}

// Removal says what Down removed.
type Removal struct {
	Removed []string `json:"removed"` // such as "container slipway-registry"; empty when there was nothing
	Kept    []string `json:"kept,omitempty"`
}

// Down removes an environment: what is on its network or carries its label, the kubeconfig's entries, and nothing
// else. It goes on after a failure and returns all errors; what it could not remove it finds again next time.
func Down(ctx context.Context, o DownOptions) (*Removal, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	d := &down{DownOptions: o, engine: engine, removal: &Removal{Removed: []string{}}}
	state, _, err := cluster.New(o.Name, engine, o.Log).Inspect(ctx)
	if err != nil {
		return nil, err
	}
	if state == cluster.Foreign {
		return nil, cluster.ForeignError(o.Name)
	}
	errs := []error{
		d.step(ctx, "containers", "Containers", d.removeContainers),
		d.step(ctx, "volumes", "Volumes", d.removeVolumes),
		d.step(ctx, "network", "Network", d.removeNetworks),
		d.step(ctx, "kubeconfig", "Kubeconfig", d.removeContext),
		d.step(ctx, "images", "slipwayd's image", d.removeImages),
	}
	return d.removal, errors.Join(errs...)
}

type down struct {
	DownOptions
	engine  *docker.Engine
	removal *Removal
}

// step runs one part of the removal and shows it.
func (d *down) step(ctx context.Context, id, title string, remove func(context.Context) ([]string, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	task := d.Progress.Start(id, title)
	removed, err := remove(ctx)
	d.removal.Removed = append(d.removal.Removed, removed...)
	switch {
	case err != nil:
		task.Fail(shown(ctx, err))
	case len(removed) == 0:
		task.Skip("nothing to remove")
	default:
		task.Done(fmt.Sprintf("%d removed", len(removed)))
	}
	return err
}

// removeContainers removes every container that carries the label or is on the environment's own network: the node,
// the registry, and what the user put beside them.
func (d *down) removeContainers(ctx context.Context) ([]string, error) {
	names, err := d.engine.ContainersWith(ctx, environment.Label, string(d.Name))
	if err != nil {
		return nil, err
	}
	if labels, err := d.engine.NetworkLabels(ctx, d.Name.Network()); err == nil && labels[environment.Label] == string(d.Name) {
		more, err := d.engine.ContainersOn(ctx, d.Name.Network())
		if err != nil {
			return nil, err
		}
		names = append(names, more...)
	}
	slices.Sort(names)
	var removed []string
	var errs []error
	for _, name := range slices.Compact(names) {
		if err := d.engine.RemoveContainer(ctx, name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, "container "+name)
	}
	return removed, errors.Join(errs...)
}

func (d *down) removeVolumes(ctx context.Context) ([]string, error) {
	names, err := d.engine.VolumesWith(ctx, environment.Label, string(d.Name))
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, name := range names {
		if d.KeepRegistry {
			d.removal.Kept = append(d.removal.Kept, "volume "+name)
			continue
		}
		if err := d.engine.RemoveVolume(ctx, name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, "volume "+name)
	}
	return removed, errors.Join(errs...)
}

func (d *down) removeNetworks(ctx context.Context) ([]string, error) {
	names, err := d.engine.NetworksWith(ctx, environment.Label, string(d.Name))
	if err != nil {
		return nil, err
	}
	var removed []string
	var errs []error
	for _, name := range names {
		if err := d.engine.RemoveNetwork(ctx, name); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, "network "+name)
	}
	return removed, errors.Join(errs...)
}

func (d *down) removeContext(ctx context.Context) ([]string, error) {
	path := kubeconfig.Path(d.Kubeconfig)
	changed, err := kubeconfig.Remove(ctx, path, d.Name.Context())
	if err != nil || !changed {
		return nil, err
	}
	return []string{fmt.Sprintf("context %s in %s", d.Name.Context(), path)}, nil
}

// removeImages removes slipwayd's image when no environment is left that runs on it; `up` makes it again in a second.
func (d *down) removeImages(ctx context.Context) ([]string, error) {
	names, err := list(ctx, d.engine)
	if err != nil || len(names) > 0 {
		return nil, err
	}
	removed, err := d.engine.RemoveImages(ctx, ownImageLabel, ownImageValue)
	for i, name := range removed {
		removed[i] = "image " + name
	}
	return removed, err
}

// List returns the environments that the engine has, sorted.
func List(ctx context.Context) ([]environment.Name, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	return list(ctx, engine)
}

func list(ctx context.Context, engine *docker.Engine) ([]environment.Name, error) {
	values, err := engine.NetworkLabelValues(ctx, environment.Label)
	if err != nil {
		return nil, err
	}
	var names []environment.Name
	for _, value := range values {
		if name, err := environment.Parse(value); err == nil {
			names = append(names, name)
		}
	}
	return names, nil
}
