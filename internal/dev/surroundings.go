package dev

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
)

// surroundings are what dev must know of the environment.
type surroundings struct {
	name        string      // the environment's
	cluster     string      // what tells the cluster from all others
	registry    string      // as users write it, such as localhost:5000
	ingressPort string      // on the host; "" where there is none
	platform    v1.Platform // of the nodes
}

// environmentConfigMap describes the environment; `up` writes it.
const environmentConfigMap = "slipway-environment"

// lookAround reads the surroundings. A cluster that `up` did not make is refused, whatever it is called: dev must never
// roll something out to wherever a context happens to lead.
func lookAround(ctx context.Context, client kubernetes.Interface, up string) (*surroundings, error) {
	settings, err := client.CoreV1().ConfigMaps(environment.Namespace).Get(ctx, environmentConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, hint.Withf(errors.New("the cluster is not a slipway environment, or `up` has not finished with it"), "run `%s`", up)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, hint.Withf(fmt.Errorf("reaching the cluster: %w", err), "`%s` makes the environment, and repairs it", up)
	}
	if err := checkOwn(ctx, client, settings.Data["cluster"], up); err != nil {
		return nil, err
	}
	hosting, err := client.CoreV1().ConfigMaps("kube-public").Get(ctx, "local-registry-hosting", metav1.GetOptions{})
	if err != nil {
		return nil, hint.Withf(fmt.Errorf("asking the cluster for its registry: %w", err), "`%s` repairs it", up)
	}
	var found struct {
		Host string `json:"host"`
	}
	if err := yaml.Unmarshal([]byte(hosting.Data["localRegistryHosting.v1"]), &found); err != nil || found.Host == "" {
		return nil, hint.Withf(errors.New("the cluster does not say which registry is its own (ConfigMap kube-public/local-registry-hosting)"), "`%s` repairs it", up)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("asking the cluster for its platform: %w", err)
	}
	if len(nodes.Items) == 0 {
		return nil, hint.Withf(errors.New("the cluster has no node"), "`%s` repairs it", up)
	}
	info := nodes.Items[0].Status.NodeInfo
	port := settings.Data["ingressHTTP"]
	if port == "0" {
		port = ""
	}
	return &surroundings{
		name: settings.Data["name"], cluster: settings.Data["cluster"],
		registry: found.Host, ingressPort: port,
		platform: v1.Platform{OS: info.OperatingSystem, Architecture: info.Architecture},
	}, nil
}

// checkOwn makes sure that what `up` wrote is of this very cluster: a ConfigMap can be copied, restored from a backup or
// applied with a folder of manifests, and the UID of the namespace kube-system cannot.
func checkOwn(ctx context.Context, client kubernetes.Interface, recorded, up string) error {
	if recorded == "" {
		return hint.Withf(errors.New("the cluster does not say that it is a slipway environment of its own: an older slipway made it, or `up` has not finished with it"),
			"run `%s`", up)
	}
	system, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("asking the cluster who it is: %w", err)
	}
	if string(system.UID) != recorded {
		return hint.Withf(fmt.Errorf("the cluster is not a slipway environment: its ConfigMap %s/%s is of another cluster (%s, and this one is %s)",
			environment.Namespace, environmentConfigMap, recorded, system.UID),
			"point the context at the environment's cluster: `%s` mends the kubeconfig, and makes the environment where there is none", up)
	}
	return nil
}
