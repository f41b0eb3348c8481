package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"slipway.dev/slipway/bootstrap/bundle"
	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// ensureNetwork makes the environment's network, which marks what is ours, refuses what is not, and settles the
// ports before anything takes them.
func (u *up) ensureNetwork(ctx context.Context, _ ui.Task) (outcome, error) {
	state, node, err := u.cluster.Inspect(ctx)
	if err != nil {
		return outcome{}, err
	}
	if state == cluster.Foreign {
		return outcome{}, cluster.ForeignError(u.Name)
	}
	labels, err := u.engine.NetworkLabels(ctx, u.Name.Network())
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return outcome{}, err
	}
	missing := err != nil
	if !missing && labels[environment.Label] != string(u.Name) {
		return outcome{}, hint.With(fmt.Errorf("there is a network %q in the engine that slipway did not make", u.Name.Network()),
			"choose another name with --name, or remove the network with `docker network rm`")
	}
	if err := u.choosePorts(ctx, node); err != nil {
		return outcome{}, err
	}
	if err := u.chooseGitPort(ctx); err != nil {
		return outcome{}, err
	}
	if !missing {
		return outcome{}, nil
	}
	return outcome{changed: true}, u.engine.CreateNetwork(ctx, u.Name.Network(), u.Name.Labels())
}

func (u *up) choosePorts(ctx context.Context, node *docker.Container) error {
	container, err := registry.Find(ctx, u.engine, u.Name)
	if err != nil && !errors.Is(err, docker.ErrNotFound) {
		return err
	}
	if container != nil {
		u.registryPort = container.HostPort(environment.RegistryPort)
	} else {
		u.registryPort = u.publishedRegistryPort(ctx, node)
	}
	if container == nil && u.registryPort != 0 && takenOn(ctx, u.registryPort) != "" {
		u.registryPort = 0
	}
	if u.registryPort == 0 || (u.RegistryPort != 0 && u.RegistryPort != u.registryPort) {
		port, moved, err := choosePort(ctx, "the registry", "--registry-port", u.RegistryPort, defaultRegistryPort)
		if err != nil {
			return err
		}
		u.registryPort = port
		if moved {
			u.notes.add(fmt.Sprintf("port %d is taken: the registry is on localhost:%d", defaultRegistryPort, port))
		}
	}
	if node != nil {
		return u.keepIngressPorts(node)
	}
	port, moved, err := choosePort(ctx, "the apps", "--ingress-port", u.IngressPort, defaultIngressPort, u.registryPort)
	if err != nil {
		return err
	}
	u.ingressPort = port
	if moved {
		u.notes.add(fmt.Sprintf("port %d is taken: apps are on localhost:%d", defaultIngressPort, port))
	}
	u.ingressTLSPort, moved, err = choosePort(ctx, "the apps' TLS", "--ingress-tls-port", u.IngressTLSPort, defaultIngressTLSPort, u.registryPort, u.ingressPort)
	if moved {
		u.notes.add(fmt.Sprintf("port %d is taken: apps with TLS are on localhost:%d", defaultIngressTLSPort, u.ingressTLSPort))
	}
	return err
}

// publishedRegistryPort is the port that the cluster was told, for a registry whose container was deleted: images
// are named after it. 0 when there is no cluster that says so.
func (u *up) publishedRegistryPort(ctx context.Context, node *docker.Container) int {
	if node == nil {
		return 0
	}
	content, err := u.engine.ReadFile(ctx, node.Name, registryPortFile)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return port
}

// keepIngressPorts takes the ports that the node publishes: they cannot be changed while it lives.
func (u *up) keepIngressPorts(node *docker.Container) error {
	u.ingressPort = node.HostPort(cluster.IngressNodePort)
	u.ingressTLSPort = node.HostPort(cluster.IngressTLSNodePort)
	for _, wish := range []struct {
		flag         string
		wanted, have int
	}{{"--ingress-port", u.IngressPort, u.ingressPort}, {"--ingress-tls-port", u.IngressTLSPort, u.ingressTLSPort}} {
		if wish.wanted != 0 && wish.wanted != wish.have {
			return hint.Withf(fmt.Errorf("the cluster publishes port %d and cannot change that while it lives", wish.have),
				"leave %s out, or run `slipway down --name %s` first", wish.flag, u.Name)
		}
	}
	return nil
}

// ensureNodeImage finds the node image in the engine, in --images, or pulls it. A cluster that is there needs none.
func (u *up) ensureNodeImage(ctx context.Context, task ui.Task) (outcome, error) {
	if u.NodeImage == "" {
		u.NodeImage = cluster.NodeImage
	}
	switch state, _, err := u.cluster.Inspect(ctx); {
	case err != nil:
		return outcome{}, err
	case state == cluster.Running, state == cluster.Stopped:
		return outcome{detail: "not needed, the cluster is there"}, nil
	}
	if _, err := u.engine.ImageID(ctx, u.NodeImage); err == nil {
		return outcome{detail: u.NodeImage + ", in the engine"}, nil
	} else if !errors.Is(err, docker.ErrNotFound) {
		return outcome{}, err
	}
	if found, err := u.loadFromBundle(ctx, u.NodeImage); err != nil {
		return outcome{}, err
	} else if found {
		return outcome{changed: true, detail: u.NodeImage + ", from " + u.ImagesDir}, nil
	}
	if u.bundle != nil {
		return outcome{}, notInBundle(u.NodeImage, u.bundle)
	}
	task.Update("pulling %s", u.NodeImage)
	if err := u.engine.Pull(ctx, u.NodeImage, func(status string) { task.Update("pulling %s: %s", u.NodeImage, status) }); err != nil {
		return outcome{}, missingImage(u.NodeImage, err)
	}
	return outcome{changed: true, detail: u.NodeImage + ", pulled"}, nil
}

// missingImage is the error for an image that is nowhere to be had.
func missingImage(ref string, err error) error {
	return hint.With(fmt.Errorf("image %s is not in the engine and cannot be pulled: %w", ref, err),
		"where no image registry can be reached, `make images` in a checkout of slipway builds it, or give a folder with it as --images")
}

// notInBundle is the error for an image that is nowhere to be had without a network.
func notInBundle(ref string, from *bundle.Bundle) error {
	return hint.Withf(fmt.Errorf("image %s is neither in the engine nor in %s, and with --images nothing is pulled", ref, from.Dir()),
		"where there is a network, `slipway images save` with this version of slipway writes a bundle that has it")
}

// ensureRegistry loads slipwayd's image into the engine and runs the registry with it.
func (u *up) ensureRegistry(ctx context.Context, task ui.Task) (outcome, error) {
	if u.info.Architecture != embeddedArchitecture {
		return outcome{}, hint.Withf(fmt.Errorf("the engine runs %s programs, and this slipway carries slipwayd for %s", u.info.Architecture, embeddedArchitecture),
			"use the slipway that was built for %s", u.info.Architecture)
	}
	var err error
	if u.image, err = slipwaydImage(); err != nil {
		return outcome{}, err
	}
	if u.imageDigest, err = u.image.Digest(); err != nil {
		return outcome{}, fmt.Errorf("computing the digest of slipwayd's image: %w", err)
	}
	tag := slipwaydTag(u.imageDigest)
	loaded := false
	if _, err := u.engine.ImageID(ctx, tag); errors.Is(err, docker.ErrNotFound) {
		task.Update("loading slipwayd's image into the engine")
		if err := loadImage(ctx, u.engine, tag, u.image); err != nil {
			return outcome{}, err
		}
		loaded = true
	} else if err != nil {
		return outcome{}, err
	}
	changed, err := registry.Ensure(ctx, u.engine, u.Name, registry.Options{Image: tag, Port: u.registryPort, Events: u.RegistryEvents})
	if err != nil {
		return outcome{}, err
	}
	return outcome{changed: changed || loaded, detail: fmt.Sprintf("localhost:%d", u.registryPort)}, nil
}

// ensureCluster makes the cluster, makes a half-made one again, or starts a stopped one; then it connects to it.
func (u *up) ensureCluster(ctx context.Context, task ui.Task) (outcome, error) {
	state, node, err := u.cluster.Inspect(ctx)
	if err != nil {
		return outcome{}, err
	}
	result := outcome{detail: "running"}
	switch {
	case state == cluster.Foreign:
		return outcome{}, cluster.ForeignError(u.Name)
	case state == cluster.HalfMade:
		task.Update("removing a half-made cluster")
		if err := u.cluster.Remove(ctx); err != nil {
			return outcome{}, err
		}
		fallthrough
	case state == cluster.Absent:
		result = outcome{changed: true, detail: "created"}
		u.fresh = true
		err = u.cluster.Create(ctx, cluster.Options{
			NodeImage: u.NodeImage, IngressPort: u.ingressPort, IngressTLSPort: u.ingressTLSPort,
			CgroupV1: u.info.CgroupVersion == 1, RestrictOOMScore: lacksSysResource(),
			Say: func(what string) { task.Update("kind: %s", what) },
		})
	case state == cluster.Stopped || node.State == "paused":
		result = outcome{changed: true, detail: "started again"}
		task.Update("starting the node")
		u.restarted = true
		err = u.cluster.Start(ctx)
	}
	if err != nil {
		return outcome{}, err
	}
	if err := u.reachCluster(ctx, task); err != nil {
		return result, err
	}
	if u.fresh {
		err = u.oneResolver(ctx)
	}
	return result, err
}

// oneResolver has a new cluster run one DNS server: kubeadm's two are for two nodes, and a second one of 25 MiB resolves
// nothing that the first does not. Whoever wants more scales it, which later runs of `up` leave alone.
func (u *up) oneResolver(ctx context.Context) error {
	_, err := u.client.Dynamic.Resource(deployments).Namespace(metav1.NamespaceSystem).
		Patch(ctx, "coredns", types.MergePatchType, []byte(`{"spec":{"replicas":1}}`), metav1.PatchOptions{FieldManager: environment.FieldManager})
	if err != nil && !apierrors.IsNotFound(err) { // a node image may bring another
		return fmt.Errorf("scaling the cluster's DNS server: %w", err)
	}
	return nil
}
