// Package cluster makes, starts, inspects and removes the kind cluster of an environment. It is the only importer
// of kind, and gives kind's library what it lacks: cancellation, a private kubeconfig, a mark that tells a
// finished cluster from a half-made one, and the node's logs when creation fails. Waiting until things are ready
// is not its business: the steps of `up` wait for what they need.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	"sigs.k8s.io/kind/pkg/cluster"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
)

// NodeImage is the node image that is used when none is named. kind's own default is a newer Kubernetes; this one is
// what scripts/images builds where nothing can be pulled, so that both ways lead to the same cluster. By tag, not by
// digest: a built image has another digest than the published one.
const NodeImage = "kindest/node:v1.36.3"

// NodePorts of the apps' ingress inside the cluster: the host's ports are mapped to them when the node is made,
// and the ingress Service asks for exactly them.
const (
	IngressNodePort    = 30080
	IngressTLSNodePort = 30443
)

// finishedMark is a file in the node that is written when creation is complete. It lives in the engine, so that
// it can be read without an API server, and goes with the node.
const finishedMark = "/kind/slipway-finished"

// State of the cluster's node.
type State string

// The states, in the order in which `up` deals with them.
const (
	Absent   State = "absent"    // there is no node of that name
	HalfMade State = "half-made" // ours, but its creation did not finish: it can only be made again
	Stopped  State = "stopped"   // ours and finished, but the container does not run
	Running  State = "running"   // ours, finished and running
	Foreign  State = "foreign"   // a cluster of that name that is not ours
)

// Cluster is the kind cluster of one environment.
type Cluster struct {
	name   environment.Name
	engine *docker.Engine
	log    *slog.Logger
}

// New returns the cluster of an environment; it does no I/O.
func New(name environment.Name, engine *docker.Engine, log *slog.Logger) *Cluster {
	return &Cluster{name: name, engine: engine, log: log}
}

// Inspect says in what state the cluster is; the container is nil when there is none. Whether it is ours is read
// from the network: only `up` puts a node on the environment's own, labelled one.
func (c *Cluster) Inspect(ctx context.Context) (State, *docker.Container, error) {
	node, err := c.engine.Container(ctx, c.name.Node())
	if errors.Is(err, docker.ErrNotFound) {
		return Absent, nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	labels, err := c.engine.NetworkLabels(ctx, c.name.Network())
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return "", nil, err
	}
	if labels[environment.Label] != string(c.name) || !contains(node.Networks, c.name.Network()) {
		return Foreign, node, nil
	}
	if _, err := c.engine.ReadFile(ctx, c.name.Node(), finishedMark); errors.Is(err, docker.ErrNotFound) {
		return HalfMade, node, nil
	} else if err != nil {
		return "", nil, err
	}
	if !node.Running {
		return Stopped, node, nil
	}
	return Running, node, nil
}

func contains(list []string, wanted string) bool {
	for _, item := range list {
		if item == wanted {
			return true
		}
	}
	return false
}

// ForeignError is the error for a cluster of the environment's name that slipway did not make.
func ForeignError(name environment.Name) error {
	return hint.Withf(fmt.Errorf("there is a cluster %q that slipway did not make: container %s is not on slipway's network", name, name.Node()),
		"choose another name with --name, or remove that cluster with `kind delete cluster --name %s`", name.Cluster())
}

// Options are what a new cluster is made with.
type Options struct {
	NodeImage string // must be in the engine
	// IngressPort and IngressTLSPort are the loopback ports of the host that lead to the apps' ingress.
	IngressPort, IngressTLSPort int
	// CgroupV1 says that the host has cgroup v1 only, which the kubelet refuses unless told otherwise.
	CgroupV1 bool
	// RestrictOOMScore keeps containerd from lowering a process's OOM score below its own: without
	// CAP_SYS_RESOURCE in the node that is not permitted, and no pod would start.
	RestrictOOMScore bool
	// Say is told what kind is doing; it may be nil.
	Say func(string)
}

// Create makes the cluster. When it fails or ctx ends, what was made of it is removed again; the node's last log
// lines are in the error.
func (c *Cluster) Create(ctx context.Context, o Options) error {
	if err := os.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", c.name.Network()); err != nil {
		return fmt.Errorf("naming the network for kind: %w", err)
	}
	private, err := os.MkdirTemp("", "slipway-kubeconfig-")
	if err != nil {
		return fmt.Errorf("making a folder for the cluster's kubeconfig: %w", err)
	}
	defer os.RemoveAll(private)

	logger := &logBridge{log: c.log, say: o.Say}
	provider := cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(logger))
	finished := make(chan error, 1)
	go func() {
		finished <- provider.Create(c.name.Cluster(),
			cluster.CreateWithV1Alpha4Config(config(c.name, o)),
			cluster.CreateWithKubeconfigPath(filepath.Join(private, "config")),
			cluster.CreateWithRetain(true), // the logs of a failed node are wanted before it goes
			cluster.CreateWithDisplayUsage(false),
			cluster.CreateWithDisplaySalutation(false))
	}()
	select {
	case err = <-finished:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.abandon(context.WithoutCancel(ctx), finished))
	}
	if err != nil {
		logs, _ := c.engine.Logs(ctx, c.name.Node(), 15)
		return errors.Join(creationError(err, logs), c.Remove(context.WithoutCancel(ctx)))
	}
	return c.engine.WriteFiles(ctx, c.name.Node(), map[string][]byte{finishedMark: []byte("made by slipway\n")})
}

// abandonLimit is how long a cancelled creation may take to notice that its node is gone: kind's longest command
// that does not talk to the node is `docker run`.
const abandonLimit = 20 * time.Second

// abandon ends a creation that nobody waits for any more. kind takes no context, but each of its steps runs a
// command in the node, so removing the node ends it.
func (c *Cluster) abandon(ctx context.Context, finished <-chan error) error {
	limit := time.After(abandonLimit)
	for {
		if err := c.Remove(ctx); err != nil {
			return err
		}
		select {
		case <-finished:
			return c.Remove(ctx)
		case <-limit:
			return fmt.Errorf("kind did not stop within %v; `slipway down` removes what it may still make", abandonLimit)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// Start starts a stopped node, or resumes a paused one.
func (c *Cluster) Start(ctx context.Context) error {
	node, err := c.engine.Container(ctx, c.name.Node())
	if err != nil {
		return err
	}
	if node.State == "paused" {
		return c.engine.UnpauseContainer(ctx, c.name.Node())
	}
	return c.engine.StartContainer(ctx, c.name.Node())
}

// Remove removes the node. It is for a node that Inspect said is ours; one that is not there is no error.
func (c *Cluster) Remove(ctx context.Context) error {
	return c.engine.RemoveContainer(ctx, c.name.Node())
}

// Kubeconfig returns the administrator's kubeconfig of a running cluster, as kind would write it.
func (c *Cluster) Kubeconfig() ([]byte, error) {
	provider := cluster.NewProvider(cluster.ProviderWithDocker(), cluster.ProviderWithLogger(&logBridge{log: c.log}))
	text, err := provider.KubeConfig(c.name.Cluster(), false)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of cluster %q: %w", c.name, describe(err))
	}
	return []byte(text), nil
}

// config is the cluster that is asked of kind.
func config(name environment.Name, o Options) *v1alpha4.Cluster {
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1}).String()
	c := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{APIVersion: "kind.x-k8s.io/v1alpha4", Kind: "Cluster"},
		Name:     name.Cluster(),
		Nodes: []v1alpha4.Node{{
			Role: v1alpha4.ControlPlaneRole, Image: o.NodeImage,
			Labels: map[string]string{"slipway.dev/environment": string(name)},
			ExtraPortMappings: []v1alpha4.PortMapping{
				{ContainerPort: IngressNodePort, HostPort: int32(o.IngressPort), ListenAddress: loopback, Protocol: v1alpha4.PortMappingProtocolTCP},
				{ContainerPort: IngressTLSNodePort, HostPort: int32(o.IngressTLSPort), ListenAddress: loopback, Protocol: v1alpha4.PortMappingProtocolTCP},
			},
		}},
		// config_path makes containerd read /etc/containerd/certs.d on every pull, so that the registry's names can
		// be added to a running node.
		ContainerdConfigPatches: []string{
			"[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"/etc/containerd/certs.d\"\n",
			StatsPatch,
		},
	}
	if o.RestrictOOMScore {
		c.ContainerdConfigPatches = append(c.ContainerdConfigPatches, "[plugins.\"io.containerd.grpc.v1.cri\"]\n  restrict_oom_score_adj = true\n")
	}
	kubelet := "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n"
	if o.CgroupV1 {
		kubelet += "failCgroupV1: false\n"
		c.KubeadmConfigPatches = append(c.KubeadmConfigPatches, kubelet)
	}
	c.KubeadmConfigPatches = append(c.KubeadmConfigPatches, ControlPlanePatch)
	v1alpha4.SetDefaultsCluster(c)
	return c
}

// StatsPatch has containerd look at what each container uses every ten seconds, as often as the kubelet does, and not every
// second, as containerd does by itself from v2.4 on: it asks every shim of the node, and nobody reads the answers, as the
// kubelet of these nodes counts for itself. An older containerd does not know the setting, and passes it over.
const StatsPatch = "[plugins.\"io.containerd.cri.v1.runtime\"]\n  stats_collect_period = \"10s\"\n"

// ServerCollection is how rarely the API server collects garbage: what GOGC is in its environment. See ADR 8.
const ServerCollection = "150"

// ControlPlanePatch changes what kubeadm makes of the control plane.
//
// It saves some four seconds between kubeadm's end and the first pod: there is one of each program, and
// none needs to be elected: an election that begins before the API server answers is tried again two seconds later.
// The controller manager's own limit of 20 requests a second is for clusters that many share; its start alone asks
// more of discovery. kind takes this form of extraArgs for every version of kubeadm's API.
//
// The environment is of kubeadm's API v1beta4, which kind uses from Kubernetes 1.36 on; an older kubeadm warns, and passes
// it over.
const ControlPlanePatch = `kind: ClusterConfiguration
apiServer:
  extraEnvs:
  - name: GOGC
    value: "` + ServerCollection + `"
controllerManager:
  extraArgs:
    leader-elect: "false"
    kube-api-qps: "200"
    kube-api-burst: "400"
scheduler:
  extraArgs:
    leader-elect: "false"
`
