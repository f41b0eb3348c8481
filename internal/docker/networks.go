package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
)

// NetworkLabels returns the labels of the named network, or ErrNotFound.
func (e *Engine) NetworkLabels(ctx context.Context, name string) (map[string]string, error) {
	// A listing, not an inspection: the engine also answers an inspection whose name is the prefix of an identifier.
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("name", name))})
	if err != nil {
		return nil, fmt.Errorf("looking at network %s: %w", name, err)
	}
	for _, candidate := range found {
		if candidate.Name == name {
			return candidate.Labels, nil
		}
	}
	return nil, fmt.Errorf("looking at network %s: %w", name, ErrNotFound)
}

// NetworksWith returns the names of the networks that carry the label key=value.
func (e *Engine) NetworksWith(ctx context.Context, key, value string) ([]string, error) {
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", key+"="+value))})
	if err != nil {
		return nil, fmt.Errorf("listing networks: %w", err)
	}
	names := make([]string, 0, len(found))
	for _, candidate := range found {
		names = append(names, candidate.Name)
	}
	return names, nil
}

// CreateNetwork makes a bridge network whose containers find each other by name.
func (e *Engine) CreateNetwork(ctx context.Context, name string, labels map[string]string) error {
	_, err := e.api.NetworkCreate(ctx, name, network.CreateOptions{
		Driver: "bridge", Labels: labels,
		Options: map[string]string{"com.docker.network.bridge.enable_ip_masquerade": "true"},
	})
	if err != nil {
		return fmt.Errorf("creating network %s: %w", name, err)
	}
	return nil
}

// RemoveNetwork removes a network; one that is not there is no error.
func (e *Engine) RemoveNetwork(ctx context.Context, name string) error {
	err := notFound(e.api.NetworkRemove(ctx, name))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("removing network %s: %w", name, err)
	}
	return nil
}

// EnsureVolume makes a named volume; one that exists stays as it is.
func (e *Engine) EnsureVolume(ctx context.Context, name string, labels map[string]string) error {
	if _, err := e.api.VolumeCreate(ctx, volume.CreateOptions{Name: name, Labels: labels}); err != nil {
		return fmt.Errorf("creating volume %s: %w", name, err)
	}
	return nil
}

// VolumesWith returns the names of the volumes that carry the label key=value.
func (e *Engine) VolumesWith(ctx context.Context, key, value string) ([]string, error) {
	found, err := e.api.VolumeList(ctx, volume.ListOptions{Filters: filters.NewArgs(filters.Arg("label", key+"="+value))})
	if err != nil {
		return nil, fmt.Errorf("listing volumes: %w", err)
	}
	names := make([]string, 0, len(found.Volumes))
	for _, candidate := range found.Volumes {
		names = append(names, candidate.Name)
	}
	return names, nil
}

// RemoveVolume removes a named volume and what is in it; one that is not there is no error.
func (e *Engine) RemoveVolume(ctx context.Context, name string) error {
	err := notFound(e.api.VolumeRemove(ctx, name, false))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("removing volume %s: %w", name, err)
	}
	return nil
}

// NetworkLabelValues returns the values that a label has on the engine's networks, sorted, each once.
func (e *Engine) NetworkLabelValues(ctx context.Context, key string) ([]string, error) {
	found, err := e.api.NetworkList(ctx, network.ListOptions{Filters: filters.NewArgs(filters.Arg("label", key))})
	if err != nil {
		return nil, fmt.Errorf("listing networks: %w", err)
	}
	var values []string
	for _, candidate := range found {
		values = append(values, candidate.Labels[key])
	}
	slices.Sort(values)
	return slices.Compact(values), nil
}
