package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/bootstrap/cluster"
)

// kindConfig is a file that asks kind for a cluster that starts on any machine, where the kubelet may have cgroup v1 and
// containerd no CAP_SYS_RESOURCE: what whoever has no slipway has. One that is tuned has all that makes slipway's cluster
// faster or slower, too.
func (b *bench) kindConfig(tuned bool) (string, error) {
	c := v1alpha4.Cluster{
		TypeMeta:                v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"},
		KubeadmConfigPatches:    []string{"kind: KubeletConfiguration\nfailCgroupV1: false\n"},
		ContainerdConfigPatches: []string{"[plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n"},
	}
	if tuned {
		c.KubeadmConfigPatches = append(c.KubeadmConfigPatches, cluster.ControlPlanePatch)
		c.ContainerdConfigPatches = append(c.ContainerdConfigPatches, cluster.StatsPatch)
	}
	content, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.work, "kind.yaml")
	return path, os.WriteFile(path, content, 0o600)
}

const nodeImage = "kindest/node:v1.36.3"

// environmentName keeps the measurements away from the user's own environment.
const environmentName = "bench"

// run runs a program with the bench's own kubeconfig and returns how long it took.
func (b *bench) run(ctx context.Context, program string, arguments ...string) (time.Duration, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.work, "kubeconfig"), "XDG_STATE_HOME="+filepath.Join(b.work, "state"))
	start := time.Now()
	out, err := command.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s %v: %w\n%s", filepath.Base(program), arguments, err, out)
	}
	return time.Since(start), nil
}

// buildKind builds the kind program of the version that slipway uses as a library.
func (b *bench) buildKind(ctx context.Context) (string, error) {
	path := filepath.Join(b.work, "kind")
	_, err := b.run(ctx, "go", "build", "-o", path, "sigs.k8s.io/kind")
	return path, err
}

// measureUp compares `slipway up`, images present and the registry empty, with a bare cluster that is waited for, and
// times an `up` that finds everything there.
func measureUp(ctx context.Context, b *bench) ([]figure, error) {
	kind, err := b.buildKind(ctx)
	if err != nil {
		return nil, err
	}
	config, err := b.kindConfig(true)
	if err != nil {
		return nil, err
	}
	defer func() {
		clean := context.WithoutCancel(ctx)
		_, _ = b.run(clean, kind, "delete", "cluster", "--name", environmentName+"-bare")
		_, _ = b.run(clean, b.slipway, "down", "--name", environmentName)
	}()
	var bare, whole, again []float64
	for range b.pairs {
		took, err := b.run(ctx, kind, "create", "cluster", "--name", environmentName+"-bare", "--image", nodeImage, "--config", config, "--wait", "5m")
		if err != nil {
			return nil, err
		}
		bare = append(bare, took.Seconds())
		if _, err := b.run(ctx, kind, "delete", "cluster", "--name", environmentName+"-bare"); err != nil {
			return nil, err
		}
		if took, err = b.run(ctx, b.slipway, "up", "--name", environmentName); err != nil {
			return nil, err
		}
		whole = append(whole, took.Seconds())
		// An `up` that heals, so that the next one, which finds nothing to do, is known to look.
		if _, err := b.run(ctx, "docker", "rm", "-f", environmentName+"-registry"); err != nil {
			return nil, err
		}
		for i := range 2 {
			if took, err = b.run(ctx, b.slipway, "up", "--name", environmentName); err != nil {
				return nil, err
			}
			if i == 1 {
				again = append(again, took.Seconds())
			}
		}
		if _, err := b.run(ctx, b.slipway, "down", "--name", environmentName); err != nil {
			return nil, err
		}
	}
	return []figure{
		{"up_ratio", median(whole) / median(bare), "x", "<= 1.5 x", fmt.Sprintf("`slipway up`, images present, registry empty, profile basic (%.1f s), to `kind create cluster --wait 5m` of the same node image (%.1f s)", median(whole), median(bare))},
		{"up_again", median(again), "s", "<= 1 s", "`slipway up` with nothing to do, after one that healed a deleted registry"},
	}, nil
}
