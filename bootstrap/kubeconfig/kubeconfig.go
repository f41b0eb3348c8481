// Package kubeconfig adds an environment's context to the user's kubeconfig and takes it out again. It writes one
// file, whole or not at all, under the lock that kubectl and kind use too, and touches nothing but the entries of
// the environment's own name. The current context is changed only when the caller says so, or when none is set.
package kubeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"slipway.dev/slipway/internal/hint"
)

// Path is the file that is written: explicit if given, else the first existing file of KUBECONFIG, else its first,
// else ~/.kube/config.
func Path(explicit string) string {
	if explicit != "" {
		return explicit
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	candidates := rules.GetLoadingPrecedence()
	for _, candidate := range candidates {
		if _, err := os.Stat(candidate); err == nil {
			return candidate
		}
	}
	if len(candidates) > 0 {
		return candidates[0]
	}
	return clientcmd.RecommendedHomeFile
}

// Choice says when a merged context becomes the current one.
type Choice struct {
	Switch        bool // always
	SwitchIfUnset bool // when no current context is set
}

// Merge puts the context called name (with the cluster and user of the same name) of the kubeconfig in text into
// the file at path, and reports whether the file changed.
func Merge(ctx context.Context, path, name string, text []byte, choice Choice) (bool, error) {
	added, err := clientcmd.Load(text)
	if err != nil {
		return false, fmt.Errorf("reading the cluster's kubeconfig: %w", err)
	}
	if added.Contexts[name] == nil || added.Clusters[name] == nil || added.AuthInfos[name] == nil {
		return false, fmt.Errorf("the cluster's kubeconfig has no context %q", name)
	}
	return edit(ctx, path, func(config *api.Config) {
		config.Clusters[name] = added.Clusters[name]
		config.AuthInfos[name] = added.AuthInfos[name]
		entry := added.Contexts[name]
		if existing := config.Contexts[name]; existing != nil {
			entry.Namespace = existing.Namespace // the user's choice, made since
		}
		config.Contexts[name] = entry
		if choice.Switch || (choice.SwitchIfUnset && config.CurrentContext == "") {
			config.CurrentContext = name
		}
	})
}

// Remove takes the context called name, with its cluster and user, out of the file at path, and reports whether
// the file changed. A current context of that name is unset. A file that holds nothing any more is removed, so that
// nothing is left of one that Merge made.
func Remove(ctx context.Context, path, name string) (bool, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return edit(ctx, path, func(config *api.Config) {
		delete(config.Clusters, name)
		delete(config.AuthInfos, name)
		delete(config.Contexts, name)
		if config.CurrentContext == name {
			config.CurrentContext = ""
		}
	})
}

// Current returns the current context of the file at path; "" when there is none.
func Current(path string) string {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return ""
	}
	return config.CurrentContext
}

func edit(ctx context.Context, path string, change func(*api.Config)) (bool, error) {
	// A symbolic link is followed, so that the link stays and its target is replaced.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, fmt.Errorf("making the kubeconfig's folder: %w", err)
	}
	release, err := lock(ctx, path)
	if err != nil {
		return false, err
	}
	defer release()

	config, err := clientcmd.LoadFromFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		config, err = api.NewConfig(), nil
	}
	if err != nil {
		return false, hint.Withf(fmt.Errorf("reading kubeconfig %s: %w", path, err), "mend or move %s; nothing was changed", path)
	}
	before := config.DeepCopy()
	change(config)
	forgetOrigin(before)
	forgetOrigin(config)
	if reflect.DeepEqual(before, config) {
		return false, nil
	}
	if len(config.Clusters)+len(config.Contexts)+len(config.AuthInfos) == 0 {
		return true, os.Remove(path)
	}
	return true, write(path, config)
}

// forgetOrigin drops the note of which file each entry was read from, which makes equal entries differ.
func forgetOrigin(config *api.Config) {
	for _, entry := range config.Clusters {
		entry.LocationOfOrigin = ""
	}
	for _, entry := range config.AuthInfos {
		entry.LocationOfOrigin = ""
	}
	for _, entry := range config.Contexts {
		entry.LocationOfOrigin = ""
	}
}

// write replaces the file in one step, so that a reader never sees half of it and a full disk loses nothing.
func write(path string, config *api.Config) error {
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("encoding the kubeconfig: %w", err)
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".kubeconfig-*")
	if err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", path, err)
	}
	defer os.Remove(temporary.Name()) // fails when all went well: it has been renamed
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing kubeconfig %s: %w", path, err)
	}
	return nil
}

// The lock is kubectl's: a file beside the kubeconfig, made with O_EXCL. kubectl holds it for milliseconds, so one
// that is older than staleAfter was left by a process that died.
const (
	lockPatience = 10 * time.Second
	staleAfter   = 30 * time.Second
)

func lock(ctx context.Context, path string) (release func(), err error) {
	name := path + ".lock"
	deadline := time.Now().Add(lockPatience)
	for {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_ = file.Close()
			return func() { _ = os.Remove(name) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("locking kubeconfig %s: %w", path, err)
		}
		if info, statErr := os.Stat(name); statErr == nil && time.Since(info.ModTime()) > staleAfter {
			_ = os.Remove(name)
			continue
		}
		if time.Now().After(deadline) {
			return nil, hint.Withf(fmt.Errorf("locking kubeconfig %s: another program holds %s", path, name), "wait for it to end; if none is running, remove %s", name)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
