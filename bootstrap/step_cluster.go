package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"

	"slipway.dev/slipway/bootstrap/kubeconfig"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

// Files in the node that tell a later `up`, when the registry's container is gone or the API server is down, which port
// the images' names have, and what the environment is.
const (
	registryPortFile = "/kind/slipway-registry-port"
	profileFile      = "/kind/slipway-profile"
)

// reachLimit is how long the API server of a node that was just started may take to answer.
const reachLimit = 3 * time.Minute

// reachCluster connects to the cluster and waits until its API server answers.
func (u *up) reachCluster(ctx context.Context, task ui.Task) error {
	node, err := u.engine.Container(ctx, u.Name.Node())
	if err != nil {
		return err
	}
	u.node = node
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	say := func(saw string) { task.Update("waiting for the API server: %s", saw) }
	err = kube.Wait(ctx, "the API server", say, func(ctx context.Context) (bool, string, error) {
		if u.kubeconfig == nil {
			text, err := u.cluster.Kubeconfig()
			if err != nil {
				return false, "", err
			}
			u.kubeconfig = text
		}
		return u.ping(ctx)
	})
	if err != nil && ctx.Err() != nil {
		logs, _ := u.engine.Logs(context.WithoutCancel(ctx), u.Name.Node(), 5)
		return hint.Withf(fmt.Errorf("%w\nthe node's last lines:\n%s", err, logs), "`slipway diagnose --name %s` collects the node's logs; `slipway down --name %s` and `slipway up` make the cluster anew", u.Name, u.Name)
	}
	return err
}

func (u *up) ping(ctx context.Context) (bool, string, error) {
	config, err := kube.ConfigFrom(u.kubeconfig)
	if err != nil {
		return false, "", kube.Stop(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return false, "", kube.Stop(err)
	}
	// /readyz also says that the API server has caught up with etcd, so that what is read next is there.
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(5 * time.Second).DoRaw(ctx); err != nil {
		return false, "", err
	}
	u.client, err = kube.NewClient(config)
	return err == nil, "", err
}

// mergeKubeconfig adds the context to the user's kubeconfig.
func (u *up) mergeKubeconfig(ctx context.Context, _ ui.Task) (outcome, error) {
	path := kubeconfig.Path(u.Kubeconfig)
	current := kubeconfig.Current(path)
	switchTo := u.SwitchContextSet && u.SwitchContext
	if u.SwitchContextSet && !u.SwitchContext && current == "" {
		u.notes.add("no current context is set: use --context " + u.Name.Context() + " with kubectl")
	}
	changed, err := kubeconfig.Merge(ctx, path, u.Name.Context(), u.kubeconfig, kubeconfig.Choice{
		Switch: switchTo, SwitchIfUnset: !u.SwitchContextSet,
	})
	if err != nil {
		return outcome{}, err
	}
	u.contextIsCurrent = kubeconfig.Current(path) == u.Name.Context()
	return outcome{changed: changed, detail: "in " + path}, nil
}

// testCache is where the pods of test runs keep what compilers cache, on the node. Package testrun mounts it.
const testCache = "/var/cache/slipway/tests"

// ensureTestCache makes the folder of the test runs' caches, in which each of their users makes folders of its own: the
// kubelet would make it for root alone.
func (u *up) ensureTestCache(ctx context.Context) (bool, error) {
	const script = `[ "$(stat -c %a "$0" 2>/dev/null)" = 1777 ] || { mkdir -p "$0" && chmod 1777 "$0" && echo made; }`
	said, err := u.engine.Exec(ctx, u.Name.Node(), "sh", "-c", script, testCache)
	return said != "", err
}

// configureNode tells the node's containerd under which names the registry is to be found, and makes the folder of the
// tests' caches. The files are read at every pull, so nothing is restarted.
func (u *up) configureNode(ctx context.Context, _ ui.Task) (outcome, error) {
	made, err := u.ensureTestCache(ctx)
	if err != nil {
		return outcome{}, err
	}
	files := u.nodeFiles()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		have, err := u.engine.ReadFile(ctx, u.Name.Node(), path)
		if err != nil && !errors.Is(err, docker.ErrNotFound) {
			return outcome{}, err
		}
		if err == nil && bytes.Equal(have, files[path]) {
			delete(files, path)
		}
	}
	if len(files) == 0 {
		return outcome{changed: made, detail: "as they should be"}, nil
	}
	return outcome{changed: true, detail: fmt.Sprintf("localhost:%d and %d mirrors", u.registryPort, len(mirroredHosts))},
		u.engine.WriteFiles(ctx, u.Name.Node(), files)
}

func (u *up) nodeFiles() map[string][]byte {
	address := "http://" + u.Name.RegistryInCluster()
	files := map[string][]byte{
		registryPortFile: fmt.Appendf(nil, "%d\n", u.registryPort),
		profileFile:      []byte(u.profile.Name + "\n"),
		fmt.Sprintf("/etc/containerd/certs.d/localhost:%d/hosts.toml", u.registryPort): fmt.Appendf(nil,
			"# Written by slipway: on this node, localhost is the node.\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", address),
		fmt.Sprintf("/etc/containerd/certs.d/%s/hosts.toml", u.Name.RegistryInCluster()): fmt.Appendf(nil,
			"# Written by slipway: the name that pods use.\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", address),
	}
	for host, server := range mirroredHosts {
		files["/etc/containerd/certs.d/"+host+"/hosts.toml"] = fmt.Appendf(nil,
			"# Written by slipway: its registry first, then the real one.\nserver = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n  override_path = true\n",
			server, address+"/v2/"+mirrorPrefix+host)
	}
	return files
}

// hostingConfigMap is what KEP-1755 asks for, by which other tools find the registry.
func (u *up) hostingConfigMap() *unstructured.Unstructured {
	hosting := fmt.Sprintf("host: %q\nhostFromContainerRuntime: %q\nhostFromClusterNetwork: %q\nhelp: %q\n",
		fmt.Sprintf("localhost:%d", u.registryPort), u.Name.RegistryInCluster(), u.Name.RegistryInCluster(),
		"Push to the host's name from your machine, and use the same name in manifests. It is made and removed by slipway: see `slipway status`.")
	return configMap("kube-public", "local-registry-hosting", map[string]any{"localRegistryHosting.v1": hosting})
}

// clusterUID is what tells a cluster from all others, whatever a kubeconfig calls them: the UID of its namespace
// kube-system, which lives as long as the cluster.
func (u *up) clusterUID(ctx context.Context) (string, error) {
	var uid string
	err := kube.Wait(ctx, "namespace kube-system", func(string) {}, func(ctx context.Context) (bool, string, error) {
		found, err := u.client.Dynamic.Resource(namespaces).Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		uid = string(found.GetUID())
		return true, "", nil
	})
	return uid, err
}

// environmentConfigMap tells `status`, `dev` and people what this environment is.
func (u *up) environmentConfigMap(uid string) *unstructured.Unstructured {
	return configMap(environment.Namespace, EnvironmentConfigMap, map[string]any{
		"cluster": uid,
		"name":    string(u.Name), "profile": u.profile.Name, "registry": fmt.Sprintf("localhost:%d", u.registryPort),
		"registryEvents": fmt.Sprint(u.RegistryEvents), "ingressHTTP": fmt.Sprint(u.ingressPort), "ingressHTTPS": fmt.Sprint(u.ingressTLSPort),
	})
}

// EnvironmentConfigMap is the ConfigMap in slipway's namespace that describes the environment; its keys are name,
// cluster (the UID of its namespace kube-system, by which `dev` knows that the ConfigMap is this cluster's own), profile, registry, registryEvents, ingressHTTP and ingressHTTPS.
const EnvironmentConfigMap = "slipway-environment"

func configMap(namespace, name string, data map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": namespace, "name": name},
		"data":     data,
	}}
}
