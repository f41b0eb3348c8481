package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	ggcrtypes "github.com/google/go-containerregistry/pkg/v1/types"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/git/pack"
	"slipway.dev/slipway/internal/tree"
)

// world is a registry, known to users as localhost:5000, a server of git repositories, and a cluster with one Source.
type world struct {
	*reconciler
	*testing.T
	host string
	git  *httptest.Server
	root string // of the repositories
}

func newWorld(t *testing.T, source *v1alpha1.Source, more ...client.Object) *world {
	t.Helper()
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	w := &world{T: t, host: strings.TrimPrefix(images.URL, "http://"), root: t.TempDir()}
	w.serveGit()
	if source.Spec.Git != nil {
		source.Spec.Git.URL = strings.Replace(source.Spec.Git.URL, "GIT", w.git.URL, 1)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(append(more, source)...).WithStatusSubresource(source).Build()
	var err error
	if w.reconciler, err = newReconciler(cluster, cluster, Options{
		Aliases: map[string]string{"localhost:5000": w.host}, Registry: "localhost:5000", Secrets: inTheOpen{cluster},
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

type inTheOpen struct{ client.Reader }

func (s inTheOpen) Secret(ctx context.Context, account types.NamespacedName, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	return secret, s.Get(ctx, client.ObjectKey{Namespace: account.Namespace, Name: name}, secret)
}

// serveGit has git itself serve the repositories; those whose name begins with private let dev in with the password
// secret.
func (w *world) serveGit() {
	program, err := exec.LookPath("git")
	if err != nil {
		w.Skip("git is not there")
	}
	backend := &cgi.Handler{Path: program, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + w.root, "GIT_HTTP_EXPORT_ALL=1"}, Stderr: io.Discard}
	w.git = httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		if strings.HasPrefix(request.URL.Path, "/private") && (user != "dev" || password != "secret") {
			response.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			response.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(response, request)
	}))
	w.Cleanup(w.git.Close)
}

// repo is a repository that is served, with a place to commit to it.
func (w *world) repo(name string) string {
	w.Helper()
	dir := filepath.Join(w.root, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.Fatal(err)
	}
	w.run(dir, "init", "-q", "-b", "main")
	return dir
}

func (w *world) run(dir string, args ...string) string {
	w.Helper()
	command := exec.CommandContext(w.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"}, args...)...)
	command.Dir = dir
	said, err := command.CombinedOutput()
	if err != nil {
		w.Fatalf("git %v: %v\n%s", args, err, said)
	}
	return strings.TrimSpace(string(said))
}

// commit writes files and returns the commit's hash.
func (w *world) commit(dir string, files map[string]string) string {
	w.Helper()
	for name, content := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			w.Fatal(err)
		}
	}
	w.run(dir, "add", "-A")
	w.run(dir, "commit", "-q", "--allow-empty", "-m", "x")
	return w.run(dir, "rev-parse", "HEAD")
}

func (w *world) reconcile() (*v1alpha1.Source, ctrl.Result) {
	w.Helper()
	key := client.ObjectKey{Namespace: "default", Name: "demo"}
	result, err := w.Reconcile(w.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		w.Fatal(err)
	}
	source := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), key, source); err != nil {
		w.Fatal(err)
	}
	return source, result
}

// want checks the condition and returns the artifact's files.
func (w *world) want(source *v1alpha1.Source, status metav1.ConditionStatus, reason, message string) {
	w.Helper()
	condition := meta.FindStatusCondition(source.Status.Conditions, v1alpha1.ConditionReady)
	if condition == nil || condition.Status != status || condition.Reason != reason || !strings.Contains(condition.Message, message) {
		w.Fatalf("condition %+v, want %s %s and %q", condition, status, reason, message)
	}
}

func (w *world) files(source *v1alpha1.Source) map[string]string {
	w.Helper()
	dir := w.TempDir()
	if err := artifact.Fetch(w.Context(), artifact.Source{URL: source.Status.Artifact.URL, Digest: source.Status.Artifact.Digest}, dir); err != nil {
		w.Fatal(err)
	}
	found := map[string]string{}
	if err := filepath.WalkDir(dir, func(full string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, full)
		if target, err := os.Readlink(full); err == nil {
			found[name] = "-> " + target
			return nil
		}
		content, err := os.ReadFile(full)
		found[name] = string(content)
		return err
	}); err != nil {
		w.Fatal(err)
	}
	return found
}

func fromGit(change func(*v1alpha1.SourceSpec)) *v1alpha1.Source {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1},
		Spec: v1alpha1.SourceSpec{Git: &v1alpha1.GitSource{URL: "GIT/app"}}}
	if change != nil {
		change(&source.Spec)
	}
	return source
}

func TestFollowsABranch(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	w := newWorld(t, fromGit(nil))
	dir := w.repo("app")
	if err := os.Symlink("sub/a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	first := w.commit(dir, map[string]string{"main.go": "package main", "sub/a": "a", ".slipwayignore": "*.md", "README.md": "no source"})
	source, result := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "stored artifact for revision 'main@sha1:"+first+"'")
	want := map[string]string{"main.go": "package main", "sub/a": "a", ".slipwayignore": "*.md", "link": "-> sub/a"}
	if diff := cmp.Diff(want, w.files(source)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if result.RequeueAfter != DefaultInterval || !strings.HasPrefix(source.Status.Artifact.Image, "localhost:5000/sources/default/demo@sha256:") {
		t.Errorf("result %v, artifact %+v", result, source.Status.Artifact)
	}

	// What dev would push of the same folder is the same artifact.
	rules, err := tree.NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	read, err := tree.Read(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := artifact.Pack(func(out io.Writer) error { return read.WriteTar(t.Context(), out) })
	if err != nil {
		t.Fatal(err)
	}
	if digest, err := packed.Digest(); err != nil || !strings.HasSuffix(source.Status.Artifact.Image, "@"+digest.String()) {
		t.Errorf("dev's artifact is %s (%v), and that of the commit %s", digest, err, source.Status.Artifact.Image)
	}

	// Nothing new is no write; another commit with the same files has another revision and the same digest.
	again, _ := w.reconcile()
	if again.ResourceVersion != source.ResourceVersion {
		t.Error("the status was written though nothing is new")
	}
	second := w.commit(dir, nil)
	next, _ := w.reconcile()
	if next.Status.Artifact.Revision != "main@sha1:"+second || next.Status.Artifact.Digest != source.Status.Artifact.Digest || next.Status.Artifact.URL != source.Status.Artifact.URL {
		t.Errorf("artifact %+v after an empty commit", next.Status.Artifact)
	}
	w.commit(dir, map[string]string{"main.go": "package other"})
	last, _ := w.reconcile()
	if last.Status.Artifact.Digest == source.Status.Artifact.Digest || w.files(last)["main.go"] != "package other" {
		t.Errorf("artifact %+v after a change", last.Status.Artifact)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReferences(t *testing.T) {
	for name, test := range map[string]struct {
		ref  v1alpha1.GitReference
		want string // of the artifact's revision, with HASH for the commit's
		file string
	}{
		"default":       {v1alpha1.GitReference{}, "main@sha1:HASH", "three"},
		"branch":        {v1alpha1.GitReference{Branch: "feature/x"}, "feature/x@sha1:HASH", "two"},
		"tag":           {v1alpha1.GitReference{Tag: "v1.0.0"}, "v1.0.0@sha1:HASH", "one"},
		"annotated tag": {v1alpha1.GitReference{Tag: "v1.2.0"}, "v1.2.0@sha1:HASH", "two"},
		"semver":        {v1alpha1.GitReference{Semver: ">=1.0.0 <2.0.0"}, "v1.2.0@sha1:HASH", "two"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.Git.Ref = test.ref }))
			dir := w.repo("app")
			hashes := map[string]string{"one": w.commit(dir, map[string]string{"file": "one"})}
			w.run(dir, "tag", "v1.0.0")
			w.run(dir, "checkout", "-q", "-b", "feature/x")
			hashes["two"] = w.commit(dir, map[string]string{"file": "two"})
			w.run(dir, "tag", "-a", "-m", "x", "v1.2.0")
			w.run(dir, "tag", "v2.0.0-rc.1")
			w.run(dir, "checkout", "-q", "main")
			hashes["three"] = w.commit(dir, map[string]string{"file": "three"})
			source, _ := w.reconcile()
			w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
			want := strings.Replace(test.want, "HASH", hashes[test.file], 1)
			if got := source.Status.Artifact.Revision; got != want || w.files(source)["file"] != test.file {
				t.Errorf("revision %s with %v, want %s with %s", got, w.files(source), want, test.file)
			}
		})
	}
}

func TestCommitAndFolder(t *testing.T) {
	source := fromGit(func(s *v1alpha1.SourceSpec) { s.SubPath = "./web" })
	w := newWorld(t, source)
	dir := w.repo("app")
	hash := w.commit(dir, map[string]string{"web/a": "a", "api/b": "b"})
	w.commit(dir, map[string]string{"web/a": "later"})
	w.run(dir, "config", "uploadpack.allowAnySHA1InWant", "true")
	found, _ := w.reconcile()
	if diff := cmp.Diff(map[string]string{"a": "later"}, w.files(found)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	found.Spec.Git.Ref.Commit, found.Generation = hash, 2
	if err := w.client.Update(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	found, _ = w.reconcile()
	if diff := cmp.Diff(map[string]string{"a": "a"}, w.files(found)); diff != "" || found.Status.Artifact.Revision != "sha1:"+hash {
		t.Errorf("revision %s, files (-want +got):\n%s", found.Status.Artifact.Revision, diff)
	}
}

// TestChangesElsewhere: what is committed beside the folder that counts is no news, to a fresh process either.
func TestChangesElsewhere(t *testing.T) {
	w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.SubPath = "web" }))
	dir := w.repo("app")
	w.commit(dir, map[string]string{"web/a": "a", "api/b": "b"})
	first, _ := w.reconcile()
	for round := range 2 {
		elsewhere := w.commit(dir, map[string]string{"api/b": strings.Repeat("b", 2+round)})
		again, _ := w.reconcile()
		if again.ResourceVersion != first.ResourceVersion {
			t.Errorf("a commit elsewhere has made the artifact %+v", again.Status.Artifact)
		}
		if got := w.reconciler.looks.at(again); got != "main@sha1:"+elsewhere {
			t.Errorf("looked at up to %s, want %s, so that it is not fetched again", got, elsewhere)
		}
		w.reconciler.looks = looks{} // a restart
	}
	w.commit(dir, map[string]string{"api/b": "other"})
	w.reconcile()
	changed := w.commit(dir, map[string]string{"web/a": "later"})
	for range 2 {
		found, _ := w.reconcile()
		if got := w.files(found)["a"]; got != "later" || found.Status.Artifact.Revision != "main@sha1:"+changed {
			t.Errorf("artifact %+v with %q, want revision %s", found.Status.Artifact, got, changed)
		}
		if got := w.reconciler.looks.at(found); got != "" {
			t.Errorf("the look at %s stands in the way of the artifact", got)
		}
	}
}

func TestSubmodules(t *testing.T) {
	w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.Git.RecurseSubmodules = true }))
	library := w.repo("library")
	w.commit(library, map[string]string{"lib.go": "package lib"})
	dir := w.repo("app")
	w.commit(dir, map[string]string{"main.go": "package main"})
	w.run(dir, "submodule", "add", "-q", library, "vendor/lib")
	w.run(dir, "config", "-f", ".gitmodules", "submodule.vendor/lib.url", "../library")
	w.commit(dir, nil)
	source, _ := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if got := w.files(source)["vendor/lib/lib.go"]; got != "package lib" {
		t.Errorf("files %v", w.files(source))
	}
}

func TestGitTroubles(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pass"}, Data: map[string][]byte{"username": []byte("dev"), "password": []byte("secret")}}
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "empty"}}
	for name, test := range map[string]struct {
		change  func(*v1alpha1.SourceSpec)
		status  metav1.ConditionStatus
		reason  string
		message string
	}{
		"no repository":  {func(s *v1alpha1.SourceSpec) { s.Git.URL = "GIT/none" }, metav1.ConditionFalse, v1alpha1.ReasonNotFound, "There is no repository"},
		"no branch":      {func(s *v1alpha1.SourceSpec) { s.Git.Ref.Branch = "none" }, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, `has no branch "none"`},
		"no tag":         {func(s *v1alpha1.SourceSpec) { s.Git.Ref.Tag = "none" }, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, `has no tag "none"`},
		"no version":     {func(s *v1alpha1.SourceSpec) { s.Git.Ref.Semver = "1.x" }, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, `no tag with a version in "1.x"`},
		"no range":       {func(s *v1alpha1.SourceSpec) { s.Git.Ref.Semver = "newest" }, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, `"newest" is not a range`},
		"no commit":      {func(s *v1alpha1.SourceSpec) { s.Git.Ref.Commit = strings.Repeat("1", 40) }, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, "no commit 1111"},
		"no folder":      {func(s *v1alpha1.SourceSpec) { s.SubPath = "none" }, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, `no folder "none"`},
		"folder outside": {func(s *v1alpha1.SourceSpec) { s.SubPath = "../etc" }, metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, "leads out of the source"},
		"nobody there":   {func(s *v1alpha1.SourceSpec) { s.Git.URL = "http://127.0.0.1:1/a" }, metav1.ConditionFalse, v1alpha1.ReasonUnreachable, "cannot be reached"},
		"private":        {func(s *v1alpha1.SourceSpec) { s.Git.URL = "GIT/private" }, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, "spec.git.secretRef"},
		"a missing secret": {func(s *v1alpha1.SourceSpec) {
			s.Git.URL, s.Git.SecretRef = "GIT/private", &corev1.LocalObjectReference{Name: "none"}
		}, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, `The secret "none"`},
		"an empty secret": {func(s *v1alpha1.SourceSpec) {
			s.Git.URL, s.Git.SecretRef = "GIT/private", &corev1.LocalObjectReference{Name: "empty"}
		}, metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, "neither username and password nor bearerToken"},
		"the right secret": {func(s *v1alpha1.SourceSpec) {
			s.Git.URL, s.Git.SecretRef = "GIT/private", &corev1.LocalObjectReference{Name: "pass"}
		}, metav1.ConditionTrue, v1alpha1.ReasonStored, ""},
		"suspended": {func(s *v1alpha1.SourceSpec) { s.Suspend = true }, metav1.ConditionFalse, v1alpha1.ReasonSuspended, "spec.suspend"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fromGit(test.change), secret.DeepCopy(), empty.DeepCopy())
			for _, repo := range []string{"app", "private"} {
				w.commit(w.repo(repo), map[string]string{"a": "b"})
			}
			source, result := w.reconcile()
			w.want(source, test.status, test.reason, test.message)
			if settled := test.reason == v1alpha1.ReasonInvalidSpec || test.reason == v1alpha1.ReasonSuspended; settled != result.IsZero() {
				t.Errorf("result %v", result)
			}
		})
	}
}

// TestHugeRepositories has a source that is larger than may be fetched, or unpacked: it is not fetched again and again.
func TestHugeRepositories(t *testing.T) {
	for name, test := range map[string]struct {
		limits limits
		want   string
	}{
		"to fetch":     {limits{fetch: pack.Limits{Packed: 1 << 20, Unpacked: 1 << 30, Objects: 99}, files: 1 << 30, entries: 99}, "more than 1 MiB, compressed"},
		"to hold":      {limits{fetch: pack.Limits{Packed: 1 << 30, Unpacked: 8 << 20, Objects: 99}, files: 1 << 30, entries: 99}, "files and folders of more than 8 MiB, unpacked"},
		"many objects": {limits{fetch: pack.Limits{Packed: 1 << 30, Unpacked: 1 << 30, Objects: 4}, files: 1 << 30, entries: 99}, "more than 4 files, folders and commits"},
		"to unpack":    {limits{fetch: pack.Limits{Packed: 1 << 30, Unpacked: 1 << 30, Objects: 99}, files: 1 << 20, entries: 99}, "larger than 1 MiB, and no more is unpacked"},
		// The same folder of two files, many times, which is two objects.
		"many files": {limits{fetch: pack.Limits{Packed: 1 << 30, Unpacked: 1 << 30, Objects: 99}, files: 1 << 30, entries: 50}, "more than 50 files and folders"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fromGit(nil))
			w.limits = test.limits
			noise := make([]byte, 2<<20)
			rand.NewChaCha8([32]byte{}).Read(noise) // which cannot be compressed
			dir := w.repo("app")
			files := map[string]string{"noise": string(noise), "zeros": strings.Repeat("\x00", 8<<20)}
			for i := range 20 {
				files[fmt.Sprintf("folder%d/one", i)], files[fmt.Sprintf("folder%d/two", i)] = "x", "x"
			}
			w.commit(dir, files)
			source, result := w.reconcile()
			w.want(source, metav1.ConditionFalse, v1alpha1.ReasonTooLarge, test.want)
			if result.RequeueAfter <= DefaultInterval {
				t.Errorf("it is looked at again after %v", result.RequeueAfter)
			}
			w.run(dir, "rm", "-q", "-r", ".")
			w.commit(dir, map[string]string{"noise": "less"})
			source, _ = w.reconcile()
			w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
		})
	}
}

// TestTheLastArtifactStays while a branch is away, and is stored again by a registry that has lost it.
func TestTheLastArtifactStays(t *testing.T) {
	w := newWorld(t, fromGit(func(s *v1alpha1.SourceSpec) { s.Git.Ref.Branch = "main" }))
	dir := w.repo("app")
	w.commit(dir, map[string]string{"a": "b"})
	first, _ := w.reconcile()
	w.run(dir, "branch", "-m", "main", "moved")
	second, _ := w.reconcile()
	w.want(second, metav1.ConditionFalse, v1alpha1.ReasonReferenceNotFound, "")
	if diff := cmp.Diff(first.Status.Artifact, second.Status.Artifact); diff != "" {
		t.Errorf("artifact (-before +after):\n%s", diff)
	}
	w.run(dir, "branch", "-m", "moved", "main")
	second.Status.Artifact.URL = strings.Replace(second.Status.Artifact.URL, second.Status.Artifact.Digest, "sha256:"+strings.Repeat("0", 64), 1)
	if err := w.client.Status().Update(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	third, _ := w.reconcile()
	w.want(third, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if third.Status.Artifact.URL != first.Status.Artifact.URL {
		t.Errorf("URL %s, want %s again", third.Status.Artifact.URL, first.Status.Artifact.URL)
	}
}

// push puts an artifact of one file into the registry.
func (w *world) push(reference, content string) string {
	w.Helper()
	var plain bytes.Buffer
	archive := tar.NewWriter(&plain)
	if err := errors.Join(archive.WriteHeader(&tar.Header{Name: "file", Size: int64(len(content)), Mode: 0o644}), func() error { _, err := archive.Write([]byte(content)); return err }(), archive.Close()); err != nil {
		w.Fatal(err)
	}
	packed, err := artifact.Pack(func(out io.Writer) error { _, err := out.Write(plain.Bytes()); return err })
	if err != nil {
		w.Fatal(err)
	}
	tag, err := name.NewTag(w.host + "/" + reference)
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(tag, packed); err != nil {
		w.Fatal(err)
	}
	digest, err := packed.Digest()
	if err != nil {
		w.Fatal(err)
	}
	return digest.String()
}

func TestFollowsAnImage(t *testing.T) {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1}, Spec: v1alpha1.SourceSpec{Image: "localhost:5000/sources/app:latest"}}
	w := newWorld(t, source)
	found, _ := w.reconcile()
	w.want(found, metav1.ConditionFalse, v1alpha1.ReasonNotFound, "There is no localhost:5000/sources/app:latest")
	first := w.push("sources/app:latest", "one")
	found, _ = w.reconcile()
	w.want(found, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if got := found.Status.Artifact; got.Revision != "latest@"+first || got.Image != "localhost:5000/sources/app@"+first || w.files(found)["file"] != "one" {
		t.Errorf("artifact %+v", got)
	}
	w.push("sources/app:latest", "two")
	if found, _ = w.reconcile(); w.files(found)["file"] != "two" {
		t.Errorf("artifact %+v", found.Status.Artifact)
	}
	// By digest it is never asked for again.
	found.Spec.Image, found.Generation = "localhost:5000/sources/app@"+first, 2
	if err := w.client.Update(t.Context(), found); err != nil {
		t.Fatal(err)
	}
	found, result := w.reconcile()
	if found.Status.Artifact.Revision != first || !result.IsZero() {
		t.Errorf("artifact %+v, result %v", found.Status.Artifact, result)
	}
}

// TestUnpacksAnImage of another form: it is packed anew, under the Source's own name.
func TestUnpacksAnImage(t *testing.T) {
	source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo", Generation: 1},
		Spec: v1alpha1.SourceSpec{Image: "localhost:5000/bundle", SubPath: "sub"}}
	w := newWorld(t, source)
	var plain bytes.Buffer
	zip := gzip.NewWriter(&plain)
	archive := tar.NewWriter(zip)
	if err := errors.Join(archive.WriteHeader(&tar.Header{Name: "./sub/file", Size: 3, Mode: 0o644}), func() error { _, err := archive.Write([]byte("abc")); return err }(), archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	w.pushLayer("bundle:latest", plain.Bytes())
	found, _ := w.reconcile()
	w.want(found, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
	if w.files(found)["file"] != "abc" || !strings.HasPrefix(found.Status.Artifact.Image, "localhost:5000/sources/default/demo@") {
		t.Errorf("artifact %+v with %v", found.Status.Artifact, w.files(found))
	}
	w.pushLayer("bundle:latest", []byte("no archive"))
	found, _ = w.reconcile()
	w.want(found, metav1.ConditionFalse, v1alpha1.ReasonUnpackable, "does not hold a source")
}

func (w *world) pushLayer(reference string, content []byte) {
	w.Helper()
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, ggcrtypes.DockerLayer))
	if err != nil {
		w.Fatal(err)
	}
	tag, err := name.NewTag(w.host + "/" + reference)
	if err != nil {
		w.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		w.Fatal(err)
	}
}
