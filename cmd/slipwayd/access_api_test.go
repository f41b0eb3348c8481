package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/api/slipway/v1alpha1"
)

const controllerUser = "system:serviceaccount:slipway-system:slipway-controller"

// secretChain stamps a Secret and a Lease, of which the controller may watch neither, and an Image that needs a pull
// secret. The owner's account may do all of it.
const secretChain = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: maker, namespace: default}
imagePullSecrets: [{name: pull}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: maker, namespace: default}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get, list, create, patch, delete]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, create, patch, delete]}
  - {apiGroups: [slipway.dev], resources: [images], verbs: [get, list, create, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: maker, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maker}
subjects: [{kind: ServiceAccount, name: maker, namespace: default}]
---
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: secret}
spec:
  configPath: .data.password
  template:
    apiVersion: v1
    kind: Secret
    metadata: {name: made}
    stringData: {password: $(params.password)$}
---
apiVersion: carto.run/v1alpha1
kind: ClusterConfigTemplate
metadata: {name: lease}
spec:
  configPath: .spec.holderIdentity
  template:
    apiVersion: coordination.k8s.io/v1
    kind: Lease
    metadata: {name: made}
---
apiVersion: carto.run/v1alpha1
kind: ClusterImageTemplate
metadata: {name: image}
spec:
  imagePath: .status.latestImage
  template:
    apiVersion: slipway.dev/v1alpha1
    kind: Image
    metadata: {name: made}
    spec: {image: REGISTRY/app, serviceAccountName: maker}
---
apiVersion: carto.run/v1alpha1
kind: ClusterSupplyChain
metadata: {name: secrets}
spec:
  selector: {has: secrets}
  resources:
    - {name: image, templateRef: {kind: ClusterImageTemplate, name: image}}
    - {name: lease, templateRef: {kind: ClusterConfigTemplate, name: lease}}
    - {name: secret, templateRef: {kind: ClusterConfigTemplate, name: secret}}
`

const secretWorkload = `
apiVersion: carto.run/v1alpha1
kind: Workload
metadata: {name: hello, namespace: default, labels: {has: secrets}}
spec: {serviceAccountName: maker, params: [{name: password, value: PASSWORD}]}
`

// TestWithItsOwnRights runs the controller with the rights that it ships with, against an API server that enforces them.
func TestWithItsOwnRights(t *testing.T) {
	environment, _ := newAPIServer(t)
	c := asAdministrator(t, environment)
	c.applyEmbedded("manifests/controller")
	c.mayNotReadSecrets()
	user, err := environment.AddUser(envtest.User{Name: controllerUser, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:slipway-system"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	host, dockerConfig := privateRegistry(t)
	c.apply(strings.ReplaceAll(secretChain, "REGISTRY", host))
	c.apply(fmt.Sprintf("{apiVersion: v1, kind: Secret, type: kubernetes.io/dockerconfigjson, metadata: {name: pull, namespace: default}, data: {.dockerconfigjson: %s}}", dockerConfig))
	c.process = startProcess(t, "--image=localhost:5000/slipwayd", "--registry-alias=localhost:5000="+host, "--log-level=info",
		"--namespace=slipway-system", "--webhook-addr="+freeAddress(t), "--webhook-secret=slipway-webhook")

	// What is not watched is stamped all the same, as the owner's account, and it is said what that means.
	c.apply(strings.ReplaceAll(secretWorkload, "PASSWORD", "one"))
	c.resource("image", "True", "")
	c.resource("secret", "True", "secrets are not watched: they are looked at as the service account of their owner, every 15s while")
	c.resource("lease", "", "slipway.dev/aggregate-to-controller=true")
	c.secret("one")
	c.apply(strings.ReplaceAll(secretWorkload, "PASSWORD", "two"))
	c.secret("two")
	// Somebody else's change is put right.
	if err := c.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "made"}}); err != nil {
		t.Fatal(err)
	}
	c.secret("two")
	// So is an output, which is there later.
	lease := &coordinationv1.Lease{}
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "made"}, lease); err != nil {
		t.Fatal(err)
	}
	holder := "somebody"
	lease.Spec.HolderIdentity = &holder
	if err := c.Update(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	c.resource("lease", "True", "slipway.dev/aggregate-to-controller=true")

	// A role for the kind ends that. There is nobody on this API server who aggregates roles, so the test does.
	c.apply(`{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: slipway-controller-stamped}, rules: [{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, watch]}]}`)
	c.eventually("leases are watched", func() string {
		if said := c.message("lease"); said != "True: " {
			return said
		}
		return ""
	})

	// What the chain does not stamp any more goes.
	chain, _, _ := strings.Cut(secretChain[strings.Index(secretChain, "apiVersion: carto.run/v1alpha1\nkind: ClusterSupplyChain"):], "    - {name: secret,")
	c.apply(chain)
	c.eventually("the secret is gone", func() string {
		err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "made"}, &corev1.Secret{})
		if client.IgnoreNotFound(err) == nil && err != nil {
			return ""
		}
		return fmt.Sprint("it is there: ", err)
	})
	c.process.kill()
	for line := range strings.Lines(c.process.log.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("slipwayd is refused something: %s", line)
		}
	}
}

func asAdministrator(t *testing.T, environment *envtest.Environment) *tester {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, carto.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cluster, err := client.New(environment.Config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &tester{T: t, Client: cluster}
}

// mayNotReadSecrets asks the API server for each verb.
func (c *tester) mayNotReadSecrets() {
	c.Helper()
	may := func(attributes authorizationv1.ResourceAttributes) bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: controllerUser, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:slipway-system", "system:authenticated"}, ResourceAttributes: &attributes,
		}}
		if err := c.Create(c.Context(), review); err != nil {
			c.Fatal(err)
		}
		return review.Status.Allowed
	}
	for _, namespace := range []string{"", "default", "slipway-system", "kube-system"} {
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			for _, one := range []struct{ resource, name string }{{"secrets", ""}, {"secrets", "slipway-webhook"}} {
				if may(authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: one.resource, Name: one.name}) {
					c.Errorf("the controller may %s %s %s in namespace %q", verb, one.resource, one.name, namespace)
				}
			}
			if verb != "get" && verb != "list" && verb != "watch" && may(authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: "apps", Resource: "deployments"}) {
				c.Errorf("the controller may %s deployments in namespace %q", verb, namespace)
			}
		}
	}
	if may(authorizationv1.ResourceAttributes{Verb: "*", Group: "*", Resource: "*"}) || may(authorizationv1.ResourceAttributes{Verb: "get", Resource: "*"}) {
		c.Error("the controller may do anything with everything")
	}
	if !may(authorizationv1.ResourceAttributes{Verb: "create", Resource: "serviceaccounts", Subresource: "token"}) {
		c.Error("the controller may not act as service accounts")
	}
}

// privateRegistry serves an image to who has a password, and returns that for a pull secret.
func privateRegistry(t *testing.T) (host, dockerConfig string) {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	reference, err := name.ParseReference(host + "/app:latest")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(reference, empty.Image, remote.WithAuth(&authn.Basic{Username: "u", Password: "p"})); err != nil {
		t.Fatal(err)
	}
	return host, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"auths": {%q: {"username": "u", "password": "p"}}}`, host))
}

// message is how a resource of the workload is: its condition Ready, and what is said of its submission.
func (c *tester) message(name string) string {
	c.Helper()
	workload := &carto.Workload{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: "hello"}, workload); err != nil {
		c.Fatal(err)
	}
	ready, said := "", ""
	for _, resource := range workload.Status.Resources {
		for _, condition := range resource.Conditions {
			if resource.Name != name {
				continue
			}
			switch condition.Type {
			case "Ready":
				ready = string(condition.Status)
			case "ResourceSubmitted":
				said = condition.Message
			}
		}
	}
	return ready + ": " + said
}

func (c *tester) resource(name, ready, words string) {
	c.Helper()
	c.eventually(name+" is as it should be", func() string {
		said := c.message(name)
		if strings.HasPrefix(said, ready) && strings.Contains(said, words) {
			return ""
		}
		return said
	})
}

func (c *tester) secret(password string) {
	c.Helper()
	c.eventually("the secret holds "+password, func() string {
		secret := &corev1.Secret{}
		if err := c.Get(c.Context(), client.ObjectKey{Namespace: "default", Name: "made"}, secret); err != nil {
			return err.Error()
		}
		if got := string(secret.Data["password"]); got != password {
			return got
		}
		return ""
	})
}
