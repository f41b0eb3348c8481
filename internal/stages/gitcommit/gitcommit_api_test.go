package gitcommit_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/apitest"
	gitserver "slipway.dev/slipway/internal/git/server"
	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/stages/gitcommit"
	"slipway.dev/slipway/registry/server"
)

// cluster is an API server, a git server that asks for a password below /private/, and a registry.
type cluster struct {
	*apitest.Server
	*testing.T

	git, registry string // host and port
	root          string
}

func TestCommitsOnARealAPIServer(t *testing.T) {
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	api := apitest.Start(t)
	c := &cluster{Server: api, T: t, root: t.TempDir()}
	c.serve()
	for name, test := range map[string]func(*cluster){
		"commits on change alone": testChanges, "many workloads, one branch": testMany, "secrets": testSecrets,
		"parameters": testParameters, "bundle": testBundle, "server away": testAway, "asked": testAsked,
	} {
		t.Run(name, func(t *testing.T) {
			own := *c
			own.T = t
			test(&own)
		})
	}
}

func (c *cluster) serve() {
	made, err := gitserver.New(gitserver.Options{Root: c.root})
	if err != nil {
		c.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); strings.HasPrefix(r.URL.Path, "/private/") && (user != "ann" || password != "secret") {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		made.ServeHTTP(w, r)
	}))
	c.Cleanup(func() { web.CloseClientConnections(); made.Close(); web.Close() })
	c.git = strings.TrimPrefix(web.URL, "http://")
	registry, err := server.New(c.Context(), server.Options{Root: c.TempDir()})
	if err != nil {
		c.Fatal(err)
	}
	images := httptest.NewServer(registry)
	c.Cleanup(func() { _ = registry.Close(); images.Close() })
	c.registry = strings.TrimPrefix(images.URL, "http://")
}

func (c *cluster) manage() (stop func()) {
	c.Helper()
	mgr := c.Manager(c.T)
	if err := gitcommit.Setup(c.Context(), mgr, gitcommit.Options{
		Secrets:         identity.Secrets{Pool: identity.NewPool(c.Config, c.Core(c.T)), Accounts: mgr.GetAPIReader()},
		GitAliases:      map[string]string{"localhost:9418": c.git},
		RegistryAliases: map[string]string{"localhost:5000": c.registry},
	}); err != nil {
		c.Fatal(err)
	}
	return apitest.Run(c.T, mgr)
}

// commit is a GitCommit with a spec of YAML, in a namespace of its own for each test.
func (c *cluster) apply(name, spec string) {
	c.Helper()
	c.object(fmt.Sprintf("apiVersion: slipway.dev/v1alpha1\nkind: GitCommit\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, c.namespace(), spec))
}

func (c *cluster) object(text string) {
	c.Helper()
	if err := c.ApplyManifest(c.T, text); err != nil {
		c.Fatal(err)
	}
}

func (c *cluster) namespace() string {
	name := strings.NewReplacer("/", "-", "_", "-", ",", "").Replace(strings.ToLower(c.Name()))
	name = strings.Trim(name[len(name)-min(len(name), 40):], "-")
	c.object("{apiVersion: v1, kind: Namespace, metadata: {name: " + name + "}}")
	return name
}

func (c *cluster) get(name string) *v1alpha1.GitCommit {
	c.Helper()
	found := &v1alpha1.GitCommit{}
	if err := c.Get(c.Context(), client.ObjectKey{Namespace: c.namespace(), Name: name}, found); err != nil {
		c.Fatal(err)
	}
	return found
}

// eventually returns the GitCommit when its condition for the newest spec is so.
func (c *cluster) eventually(name, reason, words string) *v1alpha1.GitCommit {
	c.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		found := c.get(name)
		condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
		if condition != nil && condition.ObservedGeneration == found.Generation && condition.Reason == reason && strings.Contains(condition.Message, words) &&
			(condition.Status == metav1.ConditionTrue) == (reason == v1alpha1.ReasonCommitted) {
			return found
		}
		select {
		case <-tick.C:
		case <-limit:
			c.Fatalf("%s is at %+v, want %s with %q", name, found.Status, reason, words)
		}
	}
}

// inGit runs the real git in a repository of the server.
func (c *cluster) inGit(repository string, arguments ...string) string {
	c.Helper()
	command := exec.CommandContext(c.Context(), "git", append([]string{"-c", "safe.directory=*", "--git-dir", filepath.Join(c.root, repository+".git")}, arguments...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		c.Fatalf("git %q: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *cluster) target(repository string) string {
	owner, name, _ := strings.Cut(repository, "/")
	return fmt.Sprintf("serverAddress: 'http://%s/', repositoryOwner: %s, repositoryName: %s", c.git, owner, name)
}

func testChanges(c *cluster) {
	stop := c.manage()
	git := c.target("team/changes")
	c.apply("web", "{workload: app, files: {delivery.yml: 'a: 1'}, git: {"+git+", branch: live, commitMessage: deliver, userName: Ann, userEmail: ann@example.com}}")
	first := c.eventually("web", v1alpha1.ReasonCommitted, "")
	head := c.inGit("team/changes", "rev-parse", "live")
	folder := "config/" + c.namespace() + "/app"
	if s := first.Status; s.Revision != "live@sha1:"+head || s.URL != "http://"+c.git+"/team/changes.git" || s.Branch != "live" || s.Path != folder || s.LastUpdateTime == nil {
		c.Errorf("status %+v, want commit %s in %s", s, head, folder)
	}
	if got := c.inGit("team/changes", "show", "live:"+folder+"/delivery.yml"); got != "a: 1" {
		c.Errorf("delivery.yml = %q", got)
	}
	if got := c.inGit("team/changes", "log", "--format=%an <%ae> %s", "live"); got != "Ann <ann@example.com> deliver" {
		c.Errorf("log = %q", got)
	}

	// Another controller, and a spec that differs in what is no file: nothing is committed.
	stop()
	c.manage()
	c.apply("other", "{files: {delivery.yml: x}, git: {"+git+", branch: live}}")
	c.eventually("other", v1alpha1.ReasonCommitted, "")
	c.apply("web", "{workload: app, files: {delivery.yml: 'a: 1'}, git: {"+git+", branch: live, commitMessage: other words}}")
	again := c.eventually("web", v1alpha1.ReasonCommitted, "")
	if got := c.inGit("team/changes", "rev-list", "--count", "live"); got != "2" {
		c.Errorf("%s commits, want 2", got)
	}
	if again.Status.URL != first.Status.URL {
		c.Errorf("status %+v, was %+v", again.Status, first.Status)
	}
	c.apply("web", "{workload: app, files: {other.yml: 'a: 2'}, git: {"+git+", branch: live}}")
	c.eventually("web", v1alpha1.ReasonCommitted, "")
	if got := c.inGit("team/changes", "ls-tree", "-r", "--name-only", "live", folder+"/"); got != folder+"/other.yml" {
		c.Errorf("the folder holds %q", got)
	}
	if got := c.inGit("team/changes", "log", "-1", "--format=%an <%ae> %s", "live"); got != "supplychain <supplychain@cluster.local> bump app" {
		c.Errorf("log = %q", got)
	}
	// The status is lost between a commit and the note of it: the commit is found.
	lost := c.get("web")
	before := lost.DeepCopy()
	lost.Status = v1alpha1.GitCommitStatus{}
	if err := c.Status().Patch(c.Context(), lost, client.MergeFrom(before)); err != nil {
		c.Fatal(err)
	}
	if found := c.eventually("web", v1alpha1.ReasonCommitted, ""); found.Status.Revision != before.Status.Revision {
		c.Errorf("revision %s, want %s", found.Status.Revision, before.Status.Revision)
	}
}

func testSecrets(c *cluster) {
	c.manage()
	namespace := c.namespace()
	c.object("{apiVersion: v1, kind: ServiceAccount, metadata: {name: maker, namespace: " + namespace + "}}")
	spec := "{serviceAccountName: maker, files: {a: b}, git: {" + c.target("private/app") + ", secret: SECRET}}"
	c.apply("none", strings.Replace(spec, "SECRET", "''", 1))
	c.eventually("none", v1alpha1.ReasonUnauthorized, "gitops_ssh_secret")
	c.apply("some", strings.Replace(spec, "SECRET", "git", 1))
	// The account may read nothing: that is said, although we could read everything.
	c.eventually("some", v1alpha1.ReasonUnauthorized, `service account "maker" may not read the secret "git"`)
	c.object("{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: maker, namespace: " + namespace + "}, rules: [{apiGroups: [''], resources: [secrets], verbs: [get]}]}")
	c.object("{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: maker, namespace: " + namespace + "}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: maker}, subjects: [{kind: ServiceAccount, name: maker, namespace: " + namespace + "}]}")
	c.eventually("some", v1alpha1.ReasonUnauthorized, `secret "git" of spec.git.secret does not exist`)
	c.object("{apiVersion: v1, kind: Secret, metadata: {name: git, namespace: " + namespace + "}, stringData: {nothing: x}}")
	c.eventually("some", v1alpha1.ReasonUnauthorized, "neither username and password")
	c.object("{apiVersion: v1, kind: Secret, metadata: {name: git, namespace: " + namespace + "}, stringData: {username: ann, password: secret}}")
	c.eventually("some", v1alpha1.ReasonCommitted, "")
}

func testParameters(c *cluster) {
	c.manage()
	for name, test := range map[string]struct{ spec, reason, words string }{
		"none":   {"{files: {a: b}}", v1alpha1.ReasonMissingParameters, "gitops_server_address, gitops_repository_owner and gitops_repository_name"},
		"one":    {"{files: {a: b}, git: {serverAddress: 'http://x'}, bundle: 'localhost:5000/a:b'}", v1alpha1.ReasonMissingParameters, "missing parameter: gitops_server_address is set, but not gitops_repository_owner and gitops_repository_name"},
		"two":    {"{files: {a: b}, git: {serverAddress: 'http://x', repositoryName: why}}", v1alpha1.ReasonMissingParameters, "gitops_server_address and gitops_repository_name is set, but not gitops_repository_owner."},
		"path":   {"{files: {a: b}, path: ../x, git: {repository: 'http://x/y.git'}}", v1alpha1.ReasonInvalidSpec, "no path"},
		"file":   {"{files: {.git/config: b}, git: {repository: 'http://x/y.git'}}", v1alpha1.ReasonInvalidSpec, "no path that git allows"},
		"branch": {"{files: {a: b}, git: {branch: 'a..b', repository: 'http://x/y.git'}}", v1alpha1.ReasonInvalidSpec, "not the name of a branch"},
		"scheme": {"{files: {a: b}, git: {repository: 'file:///etc'}}", v1alpha1.ReasonInvalidSpec, "not the URL"},
		"digest": {"{files: {a: b}, bundle: 'localhost:5000/a@sha256:" + strings.Repeat("1", 64) + "'}", v1alpha1.ReasonInvalidSpec, "name a tag"},
	} {
		c.apply(name, test.spec)
		c.eventually(name, test.reason, test.words)
	}
	c.apply("prefix", "{files: {a: b}, git: {repositoryPrefix: 'http://localhost:9418/team/prefix-'}}")
	if found := c.eventually("prefix", v1alpha1.ReasonCommitted, ""); found.Status.URL != "http://localhost:9418/team/prefix-prefix.git" || found.Status.Path != "config" {
		c.Errorf("status %+v", found.Status)
	}
	if got := c.inGit("team/prefix-prefix", "show", "main:config/a"); got != "b" {
		c.Errorf("config/a = %q", got)
	}
}

func testBundle(c *cluster) {
	c.manage()
	c.apply("app", "{files: {delivery.yml: 'a: 1', more/b.yml: x}, bundle: 'localhost:5000/apps/app-bundle:uid'}")
	first := c.eventually("app", v1alpha1.ReasonCommitted, "").Status
	tag, err := name.NewTag(c.registry+"/apps/app-bundle:uid", name.Insecure)
	if err != nil {
		c.Fatal(err)
	}
	head, err := remote.Head(tag)
	if err != nil {
		c.Fatal(err)
	}
	if first.Revision != "uid@"+head.Digest.String() || first.URL != "localhost:5000/apps/app-bundle@"+head.Digest.String() || first.Branch != "" || first.Path != "" {
		c.Errorf("status %+v, want digest %s", first, head.Digest)
	}
	c.apply("app", "{files: {delivery.yml: 'a: 2'}, bundle: 'localhost:5000/apps/app-bundle:uid'}")
	if second := c.eventually("app", v1alpha1.ReasonCommitted, "").Status; second.Revision == first.Revision {
		c.Error("other files have the same revision")
	}
	c.apply("app", "{files: {delivery.yml: 'a: 1', more/b.yml: x}, bundle: 'localhost:5000/apps/app-bundle:uid'}")
	if third := c.eventually("app", v1alpha1.ReasonCommitted, "").Status; third.Revision != first.Revision {
		c.Errorf("the same files have revision %s, and had %s", third.Revision, first.Revision)
	}
}

// testAway: a server that does not answer is said, and found when it is back.
func testAway(c *cluster) {
	c.manage()
	away := httptest.NewServer(http.NotFoundHandler())
	address := away.Listener.Addr().String()
	away.Close()
	c.apply("app", "{files: {a: b}, git: {repository: 'http://"+address+"/team/away.git'}}")
	c.eventually("app", v1alpha1.ReasonUnreachable, "connection refused")
	made, err := gitserver.New(gitserver.Options{Root: c.root})
	if err != nil {
		c.Fatal(err)
	}
	defer made.Close()
	listening := &http.Server{Addr: address, Handler: made, ReadHeaderTimeout: time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = listening.ListenAndServe() }()
	c.eventually("app", v1alpha1.ReasonCommitted, "")
	_ = listening.Close()
	<-ended
}
