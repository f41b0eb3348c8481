// Package kube is slipway's way to a cluster from the command line: connections out of kubeconfig files,
// server-side apply of manifests, and waiting that always knows what it last saw. Controllers use
// controller-runtime instead.
package kube

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/version"
)

// ConfigFor returns the connection that a kubeconfig context describes. path "" means kubectl's rules (KUBECONFIG,
// then ~/.kube/config); contextName "" means the current context. The client's own rate limit is off: the API
// server has one.
func ConfigFor(path, contextName string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: contextName})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, hint.With(fmt.Errorf("reading the kubeconfig for context %q: %w", contextName, err), "create the environment with `slipway up`; it adds the context")
	}
	return tune(config), nil
}

// ConfigFrom returns the connection that a kubeconfig's bytes describe.
func ConfigFrom(kubeconfig []byte) (*rest.Config, error) {
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's kubeconfig: %w", err)
	}
	return tune(config), nil
}

// DefaultNamespace is the namespace of a kubeconfig context, "default" when it names none.
func DefaultNamespace(path, contextName string) string {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: contextName}).Namespace()
	if err != nil || namespace == "" {
		return "default"
	}
	return namespace
}

func tune(config *rest.Config) *rest.Config {
	config.QPS = -1
	config.UserAgent = "slipway/" + version.Version()
	config.WarningHandler = rest.NoWarnings{}
	return config
}
