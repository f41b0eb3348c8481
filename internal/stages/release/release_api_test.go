package release_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/apitest"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/stages/release"
)

// cluster is an API server without controllers: whether a Deployment is ready, the test says. It serves artifacts too.
type cluster struct {
	*apitest.Server
	*testing.T

	web       string
	mu        *sync.Mutex
	artifacts map[string][]byte
	namespace string
	pause     time.Duration // between two looks; 0 means 20 ms
}

func TestReleasesOnARealAPIServer(t *testing.T) {
	api := apitest.Start(t, func(environment *envtest.Environment) {
		// As on a real cluster, a pod needs its service account; envtest's default turns that off.
		environment.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins")
	})
	c := &cluster{Server: api, T: t, mu: &sync.Mutex{}, artifacts: map[string][]byte{}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if content, known := c.artifacts[r.URL.Path]; known {
			_, _ = w.Write(content)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(web.Close)
	c.web = web.URL
	for name, test := range map[string]func(*cluster){
		"life": testLife, "bad": testBad, "rights": testRights, "kinds": testKinds, "restart": testRestart, "refused": testRefused,
		"suspended": testSuspended, "late": testLateKind,
		"needs": testNeeds, "mistakes": testMistakes, "grants": testGrants, "webhook": testWebhook, "conversion": testConversion, "account": testDefaultAccount, "versions": testVersions, "rollback": testRollback,
		"remove": testRemove, "inventory": testInventory, "words": testWords, "jobs": testJobs,
	} {
		t.Run(name, func(t *testing.T) {
			own := *c
			own.T, own.namespace = t, name
			own.apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}")
			own.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: maker, namespace: " + name + "}}")
			if !slices.Contains([]string{"rights", "needs", "mistakes", "grants", "remove"}, name) {
				own.allow(`[{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]`)
			}
			test(&own)
		})
	}
}

// allow gives the account rules in the whole cluster.
func (c *cluster) allow(rules string) {
	c.apply("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: " + c.namespace + "}, rules: " + rules + "}")
	c.apply("{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: " + c.namespace + "}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: " + c.namespace + "}, subjects: [{kind: ServiceAccount, name: maker, namespace: " + c.namespace + "}]}")
}

func (c *cluster) manage() (stop func()) {
	c.Helper()
	mgr := c.Manager(c.T)
	if err := release.Setup(c.Context(), mgr, release.Options{Identities: identity.NewPool(c.Config, c.Core(c.T))}); err != nil {
		c.Fatal(err)
	}
	return apitest.Run(c.T, mgr)
}

func (c *cluster) apply(text string) {
	c.Helper()
	if err := c.ApplyManifest(c.T, text); err != nil {
		c.Fatal(err)
	}
}

// release makes or changes a Release of files; the digest of the artifact is in its URL, as a registry's is.
func (c *cluster) release(name, revision string, files map[string]string, more string) {
	c.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	out := tar.NewWriter(zip)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(files[path]))}); err != nil {
			c.Fatal(err)
		}
		if _, err := out.Write([]byte(files[path])); err != nil {
			c.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		c.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		c.Fatal(err)
	}
	path := fmt.Sprintf("/v2/x/blobs/sha256:%x", sha256.Sum256(packed.Bytes()))
	c.mu.Lock()
	c.artifacts[path] = packed.Bytes()
	c.mu.Unlock()
	c.apply(fmt.Sprintf("{apiVersion: slipway.dev/v1alpha1, kind: Release, metadata: {name: %s, namespace: %s}, spec: {serviceAccountName: maker, source: {url: '%s', revision: '%s'}%s}}",
		name, c.namespace, c.web+path, revision, more))
}

func (c *cluster) eventually(name string, status metav1.ConditionStatus, reason, words string) *v1alpha1.Release {
	c.Helper()
	var found v1alpha1.Release
	c.until(func() (bool, string) {
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, &found); err != nil {
			c.Fatal(err)
		}
		condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
		return condition != nil && condition.ObservedGeneration == found.Generation && condition.Status == status && condition.Reason == reason && strings.Contains(condition.Message, words),
			fmt.Sprintf("%s is at %+v, want %s %s %q", name, found.Status, status, reason, words)
	})
	return &found
}

func (c *cluster) until(done func() (bool, string)) {
	c.Helper()
	tick := time.NewTicker(cmp.Or(c.pause, 20*time.Millisecond))
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		is, saw := done()
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			c.Fatal(saw)
		}
	}
}

func (c *cluster) configMap(name string) *corev1.ConfigMap {
	c.Helper()
	found := &corev1.ConfigMap{}
	err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.Fatal(err)
	}
	return found
}

// ask has a Release looked at at once.
func (c *cluster) ask(name string) {
	c.Helper()
	asked := &v1alpha1.Release{}
	asked.Namespace, asked.Name = c.namespace, name
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata": {"annotations": {"slipway.dev/requested-at": "now"}}}`))
	if err := c.Patch(c.Context(), asked, patch); err != nil {
		c.Fatal(err)
	}
}

// ready plays the controller of a Deployment.
func (c *cluster) ready(name string, status metav1.ConditionStatus, reason string) {
	c.Helper()
	found := &appsv1.Deployment{}
	c.until(func() (bool, string) {
		return c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, found) == nil, "no deployment " + name
	})
	before := found.DeepCopy()
	found.Status = appsv1.DeploymentStatus{ObservedGeneration: found.Generation, Replicas: 1, UpdatedReplicas: 1, Conditions: []appsv1.DeploymentCondition{
		{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionStatus(status), Reason: reason, Message: "has timed out progressing."}}}
	if status == metav1.ConditionTrue {
		found.Status.ReadyReplicas, found.Status.AvailableReplicas = 1, 1
	}
	if err := c.Status().Patch(c.Context(), found, client.MergeFrom(before)); err != nil {
		c.Fatal(err)
	}
}

func deployment(name, image string) string {
	return fmt.Sprintf("{apiVersion: apps/v1, kind: Deployment, metadata: {name: %s}, spec: {selector: {matchLabels: {a: %s}}, template: {metadata: {labels: {a: %s}}, spec: {containers: [{name: a, image: %s}]}}}}\n", name, name, name, image)
}

func config1(name, value string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s}, data: {a: %s}}\n", name, value)
}

// testLife: applied, waited for, repaired, changed, pruned, deleted.
func testLife(c *cluster) {
	c.manage()
	outside := "{apiVersion: v1, kind: ConfigMap, metadata: {name: outside, namespace: default}}\n"
	c.release("app", "main@sha1:1", map[string]string{"config/a.yml": deployment("web", "one") + "---\n" + config1("kept", "one"), "config/sub/b.yaml": config1("old", "one"), "config/c.yml": outside, "README.md": "no: manifest"}, ", path: config, interval: 1s")
	c.eventually("app", metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "waiting for Deployment life/web: its controller has not seen it yet")
	c.ready("web", metav1.ConditionTrue, "")
	first := c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'main@sha1:1' is released: 4 objects")
	if s := first.Status; s.Revision != "main@sha1:1" || s.Attempted != s.Revision || len(s.Inventory) != 4 || s.ObservedGeneration != first.Generation {
		c.Errorf("status %+v", s)
	}
	id := first.Labels["applyset.kubernetes.io/id"]
	if kinds := first.Annotations["applyset.kubernetes.io/contains-group-kinds"]; !strings.HasPrefix(id, "applyset-") || kinds != "ConfigMap,Deployment.apps" || first.Annotations["applyset.kubernetes.io/additional-namespaces"] != "default" {
		c.Errorf("parent %v %v", first.Labels, first.Annotations)
	}
	kept := c.configMap("kept")
	if kept.Labels["applyset.kubernetes.io/part-of"] != id || len(kept.OwnerReferences) != 1 || kept.OwnerReferences[0].UID != first.UID {
		c.Errorf("member %+v", kept.ObjectMeta)
	}

	// Drift: a changed object and a deleted one come back.
	kept.Data["a"] = "changed"
	if err := c.Update(c.Context(), kept); err != nil {
		c.Fatal(err)
	}
	if err := c.Delete(c.Context(), c.configMap("old")); err != nil {
		c.Fatal(err)
	}
	c.until(func() (bool, string) {
		found, old := c.configMap("kept"), c.configMap("old")
		return found.Data["a"] == "one" && old != nil, fmt.Sprintf("kept %v, old %v", found.Data, old)
	})

	// A revision that never becomes ready: it is named, nothing is pruned.
	c.release("app", "main@sha1:2", map[string]string{"config/a.yml": deployment("web", "two"), "config/b.yml": config1("kept", "two")}, ", path: config, interval: 1s")
	c.until(func() (bool, string) { // the Deployment is the last to be applied
		found := &appsv1.Deployment{}
		err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "web"}, found)
		return err == nil && found.Spec.Template.Spec.Containers[0].Image == "two", "revision 2 is not applied"
	})
	c.ready("web", metav1.ConditionFalse, "ProgressDeadlineExceeded")
	second := c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonNotReady, "Deployment life/web has failed: has timed out progressing.")
	if second.Status.Revision != "main@sha1:1" || second.Status.Attempted != "main@sha1:2" || c.configMap("old") == nil {
		c.Errorf("status %+v", second.Status)
	}
	c.ready("web", metav1.ConditionTrue, "")
	third := c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "main@sha1:2")
	if c.configMap("old") != nil || len(third.Status.Inventory) != 2 {
		c.Errorf("old is still there, or status %+v", third.Status)
	}
	var gone corev1.ConfigMap
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: "outside"}, &gone); !apierrors.IsNotFound(err) {
		c.Errorf("outside: %v", err)
	}
}

// testBad: a mistake in one object changes none.
func testBad(c *cluster) {
	c.manage()
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one")}, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	bad := "{apiVersion: apps/v1, kind: Deployment, metadata: {name: broken}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: other}}, spec: {containers: [{name: a, image: b}]}}}}"
	c.release("app", "2", map[string]string{"a.yml": config1("a", "two"), "b.yml": bad}, "")
	found := c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "Deployment bad/broken: ")
	if c.configMap("a").Data["a"] != "one" || found.Status.Revision != "1" {
		c.Errorf("the mistake changed %v, status %+v", c.configMap("a").Data, found.Status)
	}
	for revision, test := range map[string]struct {
		files               map[string]string
		more, reason, words string
	}{
		"empty":   {map[string]string{"README.md": "x"}, "", v1alpha1.ReasonUnpackable, "There are no manifests"},
		"path":    {map[string]string{"a.yml": config1("a", "b")}, ", path: none", v1alpha1.ReasonReferenceNotFound, `no folder "none"`},
		"out":     {map[string]string{"a.yml": config1("a", "b")}, ", path: ../x", v1alpha1.ReasonInvalidSpec, "leads out"},
		"yaml":    {map[string]string{"a.yml": "a: [b"}, "", v1alpha1.ReasonUnpackable, "a.yml is no manifest"},
		"no name": {map[string]string{"a.yml": "{apiVersion: v1, kind: ConfigMap}"}, "", v1alpha1.ReasonUnpackable, "lacks apiVersion, kind or metadata.name"},
		"kind":    {map[string]string{"a.yml": "{apiVersion: no.such/v1, kind: Thing, metadata: {name: a}}"}, "", v1alpha1.ReasonApplyFailed, "Thing a: the cluster does not know this kind"},
		"twice":   {map[string]string{"a.yml": config1("a", "b"), "b.yml": config1("a", "c")}, "", v1alpha1.ReasonUnpackable, "ConfigMap bad/a is there twice"},
		"escape":  {map[string]string{"../a.yml": config1("a", "b")}, "", v1alpha1.ReasonUnpackable, "its name leads out of the artifact"},
		"huge":    {map[string]string{"a.yml": config1("a", "b"), "b.yml": strings.Repeat("# a\n", 2_200_000)}, "", v1alpha1.ReasonTooLarge, "The manifests hold more than 8 MiB"},
		"content": {map[string]string{"a.yml": config1("a", "b"), "video": strings.Repeat("0", 65<<20)}, "", v1alpha1.ReasonTooLarge, "The artifact holds more than 64 MiB"},
		"many":    {map[string]string{"a.yml": strings.Repeat(config1("a", "b")+"---\n", 1001)}, "", v1alpha1.ReasonTooLarge, "holds 1001 objects, and one release may have 1000"},
	} {
		c.release("app", revision, test.files, test.more)
		c.eventually("app", metav1.ConditionFalse, test.reason, test.words)
		if c.configMap("a").Data["a"] != "one" {
			c.Errorf("%s changed the object", revision)
		}
	}
	c.release("app", "3", map[string]string{"a.yml": config1("a", "three")}, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'3'")

	// What has drifted waits for the interval, unless somebody asks.
	drifted := c.configMap("a")
	drifted.Data["a"] = "changed"
	if err := c.Update(c.Context(), drifted); err != nil {
		c.Fatal(err)
	}
	c.ask("app")
	c.until(func() (bool, string) {
		release := &v1alpha1.Release{}
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: "app"}, release); err != nil {
			c.Fatal(err)
		}
		a := c.configMap("a").Data["a"]
		return a == "three" && release.Status.LastHandledRequest == "now", fmt.Sprintf("a is %s, and the request is %q", a, release.Status.LastHandledRequest)
	})
}

// testRights: what the account may not do is not done, although the controller might.
func testRights(c *cluster) {
	c.manage()
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one")}, "")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonForbidden, `ConfigMap rights/a: configmaps "a" is forbidden: User "system:serviceaccount:rights:maker"`)
	c.allow(`[{apiGroups: [""], resources: [configmaps], verbs: [get, list, create, patch, delete]}]`)
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")

	// Rights that are lost: it says so, also when it was asked to look, and what it could not put right it does later.
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one")}, ", interval: 1h")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	c.allow(`[{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]`)
	c.untilForbidden("patch", "configmaps")
	drifted := c.configMap("a")
	drifted.Data["a"] = "changed"
	if err := c.Update(c.Context(), drifted); err != nil {
		c.Fatal(err)
	}
	c.ask("app")
	c.eventually("app", metav1.ConditionFalse, v1alpha1.ReasonForbidden, "cannot patch")
	c.allow(`[{apiGroups: [""], resources: [configmaps], verbs: [get, list, create, patch, delete]}]`)
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	if a := c.configMap("a").Data["a"]; a != "one" {
		c.Errorf("it is released, and a is %q", a)
	}
	c.apply("{apiVersion: slipway.dev/v1alpha1, kind: Release, metadata: {name: nobody, namespace: rights}, spec: {serviceAccountName: nobody, source: {url: 'http://x/y', revision: z}}}")
	c.eventually("nobody", metav1.ConditionFalse, v1alpha1.ReasonForbidden, `service account "nobody" does not exist`)
}

// testKinds: a release may bring a kind and objects of it, and what is outside of its namespace goes with it.
func testKinds(c *cluster) {
	c.manage()
	kind := "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: things.example.com}, spec: {group: example.com, scope: Namespaced, names: {kind: Thing, plural: things}, versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}\n"
	c.release("app", "1", map[string]string{"a.yml": "{apiVersion: example.com/v1, kind: Thing, metadata: {name: first}}\n---\n" + kind + "---\n{apiVersion: v1, kind: Namespace, metadata: {name: made}}\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: in, namespace: made}}\n"}, "")
	found := c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "4 objects")
	if !slices.Contains(found.Finalizers, "slipway.dev/release") {
		c.Errorf("finalizers %q", found.Finalizers)
	}
	if err := c.Delete(c.Context(), found); err != nil {
		c.Fatal(err)
	}
	c.until(func() (bool, string) {
		release := c.Get(c.Context(), client.ObjectKeyFromObject(found), &v1alpha1.Release{})
		in := c.Get(c.Context(), client.ObjectKey{Namespace: "made", Name: "in"}, &corev1.ConfigMap{})
		return apierrors.IsNotFound(release) && apierrors.IsNotFound(in), fmt.Sprintf("release %v, in made %v", release, in)
	})
}

// testRestart: the controller is away between two revisions, and what the first had is pruned by the next.
func testRestart(c *cluster) {
	stop := c.manage()
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one"), "b.yml": config1("b", "one")}, "")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	before := c.configMap("a").ResourceVersion
	stop()
	stop = c.manage()
	c.release("app", "1", map[string]string{"a.yml": config1("a", "one"), "b.yml": config1("b", "one")}, ", timeout: 1m")
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	if after := c.configMap("a").ResourceVersion; after != before {
		c.Error("what is as it is to be was written again")
	}
	stop()
	c.release("app", "2", map[string]string{"a.yml": config1("a", "two")}, "")
	c.manage()
	c.eventually("app", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
	if c.configMap("b") != nil || c.configMap("a").Data["a"] != "two" {
		c.Error("the second revision is not what is there")
	}
}

// testRefused: objects and parents of other sets are left alone, also when they leave this one.
func testRefused(c *cluster) {
	c.manage()
	c.release("one", "1", map[string]string{"a.yml": config1("a", "one"), "b.yml": config1("b", "one")}, "")
	c.eventually("one", metav1.ConditionTrue, v1alpha1.ReasonReleased, "")
	c.release("two", "1", map[string]string{"a.yml": config1("a", "two")}, "")
	c.eventually("two", metav1.ConditionFalse, v1alpha1.ReasonApplyFailed, "ConfigMap refused/a belongs to Release refused/one")
	if c.configMap("a").Data["a"] != "one" {
		c.Error("the other release's object was changed")
	}
	given := c.configMap("b")
	given.Labels = nil
	if err := c.Update(c.Context(), given); err != nil {
		c.Fatal(err)
	}
	c.release("one", "2", map[string]string{"a.yml": config1("a", "three")}, "")
	c.eventually("one", metav1.ConditionTrue, v1alpha1.ReasonReleased, "'2'")
	if c.configMap("b") == nil {
		c.Error("an object that is nobody's any more was deleted")
	}
}
