package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"slipway.dev/slipway/bootstrap/cluster"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/profiles"
	"slipway.dev/slipway/registry"
)

// StatusOptions say which environment is looked at.
type StatusOptions struct {
	Name environment.Name
	Log  *slog.Logger
}

// Status is an environment as it is now. It is read from the engine and the cluster; nothing is remembered.
type Status struct {
	Name       environment.Name `json:"name"`
	Context    string           `json:"context"`
	Profile    string           `json:"profile,omitempty"`
	Ready      bool             `json:"ready"` // cluster, registry, components and workloads all are
	Cluster    ClusterStatus    `json:"cluster"`
	Registry   RegistryStatus   `json:"registry"`
	Git        *GitStatus       `json:"git,omitempty"` // nil where neither the profile has a git server nor the engine
	Components []Component      `json:"components"`
	Workloads  []Workload       `json:"workloads"`
	URLs       []URL            `json:"urls,omitempty"`
	Notes      []string         `json:"notes,omitempty"`

	incomplete   bool // `up` has not finished
	registryPort int  // that `up` has given the environment; 0 when that is not known
}

// ClusterStatus is the state of the node and its API server.
type ClusterStatus struct {
	State   cluster.State `json:"state"`
	Ready   bool          `json:"ready"`
	Version string        `json:"version,omitempty"` // of Kubernetes
	Detail  string        `json:"detail,omitempty"`  // why it is not ready
}

// RegistryStatus is the state of the registry's container.
type RegistryStatus struct {
	Address string `json:"address,omitempty"` // as users write it
	State   string `json:"state"`             // absent, or the engine's word
	Ready   bool   `json:"ready"`
	Detail  string `json:"detail,omitempty"`
}

// Component is the state of something that a profile installs in the cluster.
type Component struct {
	Name   string `json:"name"`
	Ready  bool   `json:"ready"`
	Detail string `json:"detail,omitempty"`
	// Foreign : it is not for `up` to repair, since `up` did not put it in or leaves it as somebody has changed it.
	Foreign bool `json:"foreign,omitempty"`
}

// ErrNoEnvironment is in the tree of GetStatus's error when there is no environment of that name.
var ErrNoEnvironment = errors.New("no such environment")

// statusLimit keeps `status` from hanging on an API server that does not answer.
const statusLimit = 10 * time.Second

// GetStatus looks at an environment. An environment that is broken is no error: the Status says so.
func GetStatus(ctx context.Context, o StatusOptions) (*Status, error) {
	engine, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	node := cluster.New(o.Name, engine, o.Log)
	state, container, err := node.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	switch state {
	case cluster.Foreign:
		return nil, cluster.ForeignError(o.Name)
	case cluster.Absent:
		if _, err := engine.NetworkLabels(ctx, o.Name.Network()); errors.Is(err, docker.ErrNotFound) {
			return nil, hint.Withf(fmt.Errorf("%w: %q", ErrNoEnvironment, o.Name), "create it with `slipway up%s`", nameFlag(o.Name))
		}
	}
	s := &Status{Name: o.Name, Context: o.Name.Context(), Cluster: ClusterStatus{State: state}, Components: []Component{}, Workloads: []Workload{}}
	if s.Registry, err = registryStatus(ctx, engine, o.Name); err != nil {
		return nil, err
	}
	if s.Git, err = gitStatus(ctx, engine, o.Name); err != nil {
		return nil, err
	}
	if container != nil && container.State == "paused" {
		s.Cluster.Detail = "the node is paused"
	} else if state == cluster.Running {
		limited, cancel := context.WithTimeout(ctx, statusLimit)
		defer cancel()
		if err := s.readCluster(limited, node, container); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			s.Cluster.Detail = err.Error()
		}
	}
	s.judge()
	return s, nil
}

func nameFlag(name environment.Name) string {
	if name == environment.DefaultName {
		return ""
	}
	return " --name " + string(name)
}

func registryStatus(ctx context.Context, engine *docker.Engine, name environment.Name) (RegistryStatus, error) {
	container, err := registry.Find(ctx, engine, name)
	if errors.Is(err, docker.ErrNotFound) {
		return RegistryStatus{State: "absent"}, nil
	}
	if err != nil {
		return RegistryStatus{}, err
	}
	port := container.HostPort(environment.RegistryPort)
	status := RegistryStatus{Address: fmt.Sprintf("localhost:%d", port), State: container.State}
	if container.Running && container.State != "paused" {
		if err := registry.Answers(ctx, port); err != nil {
			status.Detail = err.Error()
		} else {
			status.Ready = true
		}
	}
	return status, nil
}

// readCluster fills in what the cluster says.
func (s *Status) readCluster(ctx context.Context, node *cluster.Cluster, container *docker.Container) error {
	text, err := node.Kubeconfig()
	if err != nil {
		return err
	}
	config, err := kube.ConfigFrom(text)
	if err != nil {
		return err
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if _, err := typed.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx); err != nil {
		return fmt.Errorf("the API server is not ready: %w", err)
	}
	if version, err := typed.Discovery().ServerVersion(); err == nil {
		s.Cluster.Version = version.GitVersion
	}
	client, err := kube.NewClient(config)
	if err != nil {
		return err
	}
	nodeObject, err := typed.CoreV1().Nodes().Get(ctx, container.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range nodeObject.Status.Conditions {
		if condition.Type == "Ready" {
			s.Cluster.Ready = condition.Status == "True"
			if !s.Cluster.Ready {
				s.Cluster.Detail = condition.Message
			}
		}
	}
	settings, err := client.Dynamic.Resource(configMaps).Namespace(environment.Namespace).Get(ctx, EnvironmentConfigMap, metav1.GetOptions{})
	if err != nil {
		s.incomplete = true
		s.Notes = append(s.Notes, "`up` has not finished: run it again")
		return ignoreNotFound(err)
	}
	s.Profile, _, _ = unstructured.NestedString(settings.Object, "data", "profile")
	address, _, _ := unstructured.NestedString(settings.Object, "data", "registry")
	if _, text, err := net.SplitHostPort(address); err == nil {
		s.registryPort, _ = strconv.Atoi(text)
	}
	text2, _, _ := unstructured.NestedString(settings.Object, "data", "ingressHTTP")
	port, _ := strconv.Atoi(text2)
	s.URLs = []URL{{Title: "Apps", URL: appsURL(port)}, {Title: "Registry", URL: "http://" + s.Registry.Address + "/v2/"}}
	if s.Git != nil {
		s.URLs = append(s.URLs, URL{Title: "Git", URL: gitURL(s.Git.Address)})
	}
	if err := s.readComponents(ctx, client); err != nil {
		return err
	}
	return s.readWorkloads(ctx, client, port)
}

func (s *Status) readComponents(ctx context.Context, client *kube.Client) error {
	s.addDeployment(ctx, client, profiles.Controller, environment.Namespace, controllerName)
	profile, err := profiles.Get(s.Profile)
	if err != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("the environment has profile %q, which this slipway does not know", s.Profile))
		return nil
	}
	if profile.Has(profiles.Git) && s.Git == nil {
		s.Git = &GitStatus{State: "absent"}
	}
	if profile.Has(profiles.CertManager) {
		for _, name := range certManagerDeployments {
			s.addDeployment(ctx, client, name, certManagerNamespace, name)
		}
		s.Components = append(s.Components, webhookStatus(ctx, client))
	} else {
		s.Notes = append(s.Notes, "profile "+profile.Name+" has no cert-manager, so admission webhooks are off")
	}
	return s.readSupplyChains(ctx, client, profile)
}

func (s *Status) addDeployment(ctx context.Context, client *kube.Client, title, namespace, name string) {
	found, err := client.Dynamic.Resource(deployments).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		s.Components = append(s.Components, Component{Name: title, Detail: err.Error()})
		return
	}
	ready, detail := kube.DeploymentReady(found)
	if !ready {
		if why := podTrouble(ctx, client, found); why != "" {
			detail += "; " + why
		}
	}
	s.Components = append(s.Components, Component{Name: title, Ready: ready, Detail: detail})
}

func (s *Status) readSupplyChains(ctx context.Context, client *kube.Client, profile profiles.Profile) error {
	found, err := client.Dynamic.Resource(supplyChains).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	own, err := s.ownBlueprints(profile)
	if err != nil {
		return err
	}
	for i := range found.Items {
		chain := &found.Items[i]
		status, reason, message := kube.Condition(chain, "Ready")
		detail := reason
		if message != "" {
			detail += ": " + message
		}
		component := Component{Name: "supply chain " + chain.GetName(), Ready: status == "True", Detail: detail, Foreign: chain.GetLabels()[labelManagedBy] != managedBy}
		if wanted := own[itemOf(chain)]; !component.Ready && wanted != nil && theirs(chain, wanted) {
			component.Foreign = true
			component.Detail += "; it " + changedBy(chain) + ": " + bringBack(wanted, s.Name)
		}
		s.Components = append(s.Components, component)
	}
	return nil
}

// ownBlueprints are the supply chains as `up` would put them in.
func (s *Status) ownBlueprints(profile profiles.Profile) (map[item]*unstructured.Unstructured, error) {
	objects, err := profile.ObjectsFor(profiles.Settings{RegistryPort: s.registryPort, GitServer: s.Name.GitInCluster()})
	if err != nil {
		return nil, err
	}
	own := map[item]*unstructured.Unstructured{}
	for _, object := range objects {
		if object.GetKind() != "ClusterSupplyChain" {
			continue
		}
		if err := mark(object); err != nil {
			return nil, err
		}
		own[itemOf(object)] = object
	}
	return own, nil
}

// judge settles whether everything is ready.
func (s *Status) judge() {
	s.Ready = !s.Repairable()
	for _, component := range s.Components {
		s.Ready = s.Ready && component.Ready
	}
	for _, workload := range s.Workloads {
		s.Ready = s.Ready && workload.Ready
	}
}

// Repairable says whether something is not ready that `up` puts right: the cluster, the registry, the git server, or what
// it has put into the cluster. What a workload waits for is none of that.
func (s *Status) Repairable() bool {
	if !s.Cluster.Ready || !s.Registry.Ready || s.incomplete || s.Git != nil && !s.Git.Ready {
		return true
	}
	return slices.ContainsFunc(s.Components, func(component Component) bool { return !component.Ready && !component.Foreign })
}
