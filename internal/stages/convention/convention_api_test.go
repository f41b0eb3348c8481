package convention_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/conventions/v1alpha1"
	"slipway.dev/slipway/internal/apitest"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/stages/convention"
)

type cluster struct {
	*apitest.Server
	*testing.T
}

// TestPodIntentOnARealAPIServer runs the stage as slipwayd does.
func TestPodIntentOnARealAPIServer(t *testing.T) {
	api := apitest.Start(t)
	c := &cluster{api, t}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	mgr := api.Manager(t)
	if err := convention.Setup(mgr, convention.Options{
		Aliases: map[string]string{"localhost:5000": host},
		Secrets: identity.Secrets{Pool: identity.NewPool(api.Config, api.Core(t)), Accounts: mgr.GetAPIReader()},
	}); err != nil {
		t.Fatal(err)
	}
	apitest.Run(t, mgr)
	c.mustApply(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: default}}`)

	t.Run("what the schema refuses", c.refuses)
	t.Run("conventions come and go", func(t *testing.T) { c.comesAndGoes(host) })
	t.Run("secrets are the account's", func(t *testing.T) { c.secrets(host) })
}

func (c *cluster) mustApply(manifests ...string) {
	c.Helper()
	for _, manifest := range manifests {
		if err := c.ApplyManifest(c.T, manifest); err != nil {
			c.Fatal(err)
		}
	}
}

func (c *cluster) refuses(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`:                             "exactly one of webhook and builtIn is needed",
		`{builtIn: Magic}`:               "spec.builtIn",
		`{builtIn: Ports, priority: No}`: "spec.priority",
		`{builtIn: Ports, webhook: {clientConfig: {url: "https://a"}}}`:                        "exactly one of webhook and builtIn is needed",
		`{webhook: {clientConfig: {}}}`:                                                        "exactly one of url and service is needed",
		`{webhook: {clientConfig: {url: "http://a"}}}`:                                         "the url must begin with https://",
		`{webhook: {clientConfig: {url: "https://a"}, certificate: {namespace: "", name: x}}}`: "certificate.namespace",
		`{webhook: {clientConfig: {url: "https://a"}}, selectorTarget: Pod}`:                   "spec.selectorTarget",
	} {
		err := c.ApplyManifest(c.T, `{apiVersion: conventions.carto.run/v1alpha1, kind: ClusterPodConvention, metadata: {name: bad}, spec: `+spec+`}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", spec, err, want)
		}
	}
	err := c.ApplyManifest(c.T, `{apiVersion: conventions.carto.run/v1alpha1, kind: PodIntent, metadata: {name: bad, namespace: default}, spec: {imagePullSecrets: [{}], template: {}}}`)
	if err == nil || !strings.Contains(err.Error(), "imagePullSecrets") {
		t.Errorf("a pull secret without a name: %v", err)
	}
}

const demo = `
apiVersion: conventions.carto.run/v1alpha1
kind: PodIntent
metadata: {name: NAME, namespace: default}
spec:
  template:
    metadata: {labels: {apps.tanzu.vmware.com/workload-type: web}}
    spec: {containers: [{name: workload, image: "localhost:5000/demo:v1"}]}
`

// eventually returns the template once it is as wanted.
func (c *cluster) eventually(name, what string, done func(*v1alpha1.PodIntent, *corev1.PodTemplateSpec) bool) *v1alpha1.PodIntent {
	c.Helper()
	intent := &v1alpha1.PodIntent{}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: name}, intent); err != nil {
			c.Fatal(err)
		}
		template := &corev1.PodTemplateSpec{}
		if intent.Status.Template != nil {
			if err := json.Unmarshal(intent.Status.Template.Raw, template); err != nil {
				c.Fatal(err)
			}
		}
		if done(intent, template) {
			return intent
		}
	}
	c.Fatalf("not so after 30s: %s; conditions %v", what, intent.Status.Conditions)
	return nil
}

func (c *cluster) push(reference string) {
	c.Helper()
	image, err := random.Image(64, 1)
	if err != nil {
		c.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		c.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		c.Fatal(err)
	}
}

// applied says whether the list of what was applied is as wanted.
func applied(want string) func(*v1alpha1.PodIntent, *corev1.PodTemplateSpec) bool {
	return func(_ *v1alpha1.PodIntent, template *corev1.PodTemplateSpec) bool {
		return len(template.Spec.Containers) == 1 && template.Annotations[v1alpha1.AnnotationApplied] == want
	}
}

// comesAndGoes: a convention that appears, is suspended or goes changes the PodIntents that are there, at once.
func (c *cluster) comesAndGoes(host string) {
	c.push(host + "/demo:v1")
	c.mustApply(strings.ReplaceAll(demo, "NAME", "demo"))
	c.eventually("demo", "nothing is applied", applied(""))
	ports := `{apiVersion: conventions.carto.run/v1alpha1, kind: ClusterPodConvention, metadata: {name: ports}, spec: {builtIn: Ports, suspend: SUSPEND}}`
	c.mustApply(strings.ReplaceAll(ports, "SUSPEND", "false"))
	before := c.eventually("demo", "ports are applied", applied("ports/ports\nports/port-variable"))
	// A convention for others changes nothing here, which the one after it shows to have been looked at.
	c.mustApply(`{apiVersion: conventions.carto.run/v1alpha1, kind: ClusterPodConvention, metadata: {name: others}, spec: {builtIn: NodeJS, selectors: [{matchLabels: {a: b}}]}}`)
	c.mustApply(strings.ReplaceAll(demo, "NAME", "second"))
	c.eventually("second", "ports are applied", applied("ports/ports\nports/port-variable"))
	if after := c.eventually("demo", "it is there", applied("ports/ports\nports/port-variable")); after.ResourceVersion != before.ResourceVersion {
		c.Errorf("the status was written though nothing changed: %s, then %s", before.ResourceVersion, after.ResourceVersion)
	}
	c.mustApply(strings.ReplaceAll(ports, "SUSPEND", "true"))
	c.eventually("demo", "what was suspended is undone", applied(""))
}

// secrets: a pull secret is read as the PodIntent's service account, which must be allowed to.
func (c *cluster) secrets(host string) {
	c.mustApply(
		`{apiVersion: conventions.carto.run/v1alpha1, kind: ClusterPodConvention, metadata: {name: ports}, spec: {builtIn: Ports, suspend: false}}`,
		`{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: default}}`,
		`{apiVersion: v1, kind: Secret, metadata: {name: pull, namespace: default}, type: kubernetes.io/dockerconfigjson, stringData: {.dockerconfigjson: '{"auths": {}}'}}`,
		strings.Replace(strings.ReplaceAll(demo, "NAME", "private"), "spec:\n", "spec:\n  serviceAccountName: reader\n  imagePullSecrets: [{name: pull}]\n", 1),
	)
	// The image is public, so it is found with the secret and without.
	c.eventually("private", "it is Ready", applied("ports/ports\nports/port-variable"))
	// One that is not there shows what was read: a secret that may not be read is named.
	c.mustApply(strings.NewReplacer("NAME", "missing", "demo:v1", "missing:v1", "\nspec:\n", "\nspec:\n  serviceAccountName: reader\n  imagePullSecrets: [{name: pull}]\n").Replace(demo))
	says := func(words string) func(*v1alpha1.PodIntent, *corev1.PodTemplateSpec) bool {
		return func(intent *v1alpha1.PodIntent, _ *corev1.PodTemplateSpec) bool {
			return len(intent.Status.Conditions) == 2 && strings.Contains(intent.Status.Conditions[0].Message, words)
		}
	}
	c.eventually("missing", "it says which secret may not be read", says(`may not read these pull secrets: ["pull"]`))
	c.mustApply(
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: default}, rules: [{apiGroups: [""], resources: [secrets], resourceNames: [pull], verbs: [get]}]}`,
		`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: default}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}, subjects: [{kind: ServiceAccount, name: reader, namespace: default}]}`,
	)
	c.eventually("missing", "it may be read", func(intent *v1alpha1.PodIntent, template *corev1.PodTemplateSpec) bool {
		return says("failed to fetch metadata")(intent, template) && !says("may not read")(intent, template)
	})
	c.push(host + "/missing:v1")
	c.eventually("missing", "it is found", applied("ports/ports\nports/port-variable"))
}
