// Package environment holds the names of everything that belongs to one slipway environment, so that the
// engine's side (containers, network, volumes) and the cluster's side (namespace, labels) agree on them.
// It does no I/O and keeps no state: the truth is in the engine and the cluster.
package environment

import (
	"fmt"
	"regexp"
)

// DefaultName is the environment that commands act on when none is named.
const DefaultName = "slipway"

// Label marks every object of the engine (container, network, volume) that belongs to an environment; its
// value is the environment's name.
const Label = "slipway.dev/environment"

// Namespace is where slipway's own components run in the cluster.
const Namespace = "slipway-system"

// FieldManager is the owner of the fields that the command line writes with server-side apply.
const FieldManager = "slipway"

// RegistryPort is the port on which the registry listens inside its container, and so on the environment's
// network. The published loopback port is chosen by `up`.
const RegistryPort = 5000

// GitPort is the port on which the git server listens inside its container, and so on the environment's network; also the
// loopback port that `up` prefers. It is git's own.
const GitPort = 9418

// kind puts the name into the node's host name with "-control-plane" behind it, and host names end at 63
// characters; kind itself warns above 50.
var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$`)

// Name is the name of an environment.
type Name string

// Parse returns s as a Name, or an error that says what a name may be.
func Parse(s string) (Name, error) {
	if !validName.MatchString(s) {
		return "", fmt.Errorf("%q is not a valid environment name: use 1 to 45 lower-case letters, digits and dashes, beginning and ending with a letter or digit", s)
	}
	return Name(s), nil
}

// Cluster is kind's name for the cluster.
func (n Name) Cluster() string { return string(n) }

// Context is the kubeconfig context, cluster and user entry; kind's own convention, which other tools rely on.
func (n Name) Context() string { return "kind-" + string(n) }

// Network is the engine's network on which the node and the registry are.
func (n Name) Network() string { return string(n) }

// Node is the container of the cluster's only node.
func (n Name) Node() string { return string(n) + "-control-plane" }

// Registry is the registry's container, its host name on the environment's network, and its volume.
func (n Name) Registry() string { return string(n) + "-registry" }

// RegistryInCluster is the registry's host and port as seen from pods and nodes.
func (n Name) RegistryInCluster() string { return fmt.Sprintf("%s:%d", n.Registry(), RegistryPort) }

// Git is the git server's container, its host name on the environment's network, and its volume.
func (n Name) Git() string { return string(n) + "-git" }

// GitInCluster is the git server's host and port as seen from pods and nodes, whatever its loopback port is.
func (n Name) GitInCluster() string { return fmt.Sprintf("%s:%d", n.Git(), GitPort) }

// Labels are put on every object of the engine that the environment owns.
func (n Name) Labels() map[string]string { return map[string]string{Label: string(n)} }
