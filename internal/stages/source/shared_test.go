package source

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// counting counts what is asked of a git server: lists of references, and fetches.
type counting struct {
	http.RoundTripper
	lists, fetches int
}

func (c *counting) RoundTrip(request *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(request.URL.Path, "/info/refs"):
		c.lists++
	case strings.HasSuffix(request.URL.Path, "/git-upload-pack"):
		c.fetches++
	}
	return c.RoundTripper.RoundTrip(request)
}

// TestManySourcesOfOneRepository: those whose reference has not moved learn that from a list, and fetch nothing.
func TestManySourcesOfOneRepository(t *testing.T) {
	w := newWorld(t, fromGit(nil))
	dir := w.repo("app")
	first := w.commit(dir, map[string]string{"a": "b", "sub/c": "d"})
	w.run(dir, "tag", "v1.0.0")
	w.run(dir, "branch", "next")
	main := v1alpha1.GitReference{Branch: "main"}
	sources := map[string]v1alpha1.SourceSpec{
		"main": {Git: &v1alpha1.GitSource{Ref: main}}, "folder": {Git: &v1alpha1.GitSource{Ref: main}, SubPath: "sub"}, "head": {Git: &v1alpha1.GitSource{}},
		"next":   {Git: &v1alpha1.GitSource{Ref: v1alpha1.GitReference{Branch: "next"}}},
		"tag":    {Git: &v1alpha1.GitSource{Ref: v1alpha1.GitReference{Tag: "v1.0.0"}}},
		"semver": {Git: &v1alpha1.GitSource{Ref: v1alpha1.GitReference{Semver: "1.x"}}},
		"commit": {Git: &v1alpha1.GitSource{Ref: v1alpha1.GitReference{Commit: first}}},
	}
	for name, spec := range sources {
		spec.Git.URL = w.git.URL + "/app"
		if err := w.client.Create(t.Context(), &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Generation: 1}, Spec: spec}); err != nil {
			t.Fatal(err)
		}
	}
	asked := &counting{RoundTripper: w.reconciler.git}
	w.reconciler.git = asked
	// look has all look once, and returns who has fetched.
	look := func() (fetched []string) {
		t.Helper()
		lists := asked.lists
		for name := range sources {
			before := asked.fetches
			key := client.ObjectKey{Namespace: "default", Name: name}
			if _, err := w.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
				t.Fatal(err)
			}
			source := &v1alpha1.Source{}
			if err := w.client.Get(t.Context(), key, source); err != nil {
				t.Fatal(err)
			}
			w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
			if asked.fetches > before {
				fetched = append(fetched, name)
			}
		}
		if got := asked.lists - lists; got != len(sources) {
			t.Errorf("%d lists of references were asked for by %d sources", got, len(sources))
		}
		slices.Sort(fetched)
		return fetched
	}
	want := func(what string, names ...string) {
		t.Helper()
		if diff := cmp.Diff(names, look()); diff != "" {
			t.Errorf("who fetched, %s (-want +got):\n%s", what, diff)
		}
	}
	want("at first", "commit", "folder", "head", "main", "next", "semver", "tag")
	want("when nothing was pushed")
	w.run(dir, "checkout", "-q", "next")
	w.commit(dir, map[string]string{"a": "next"})
	w.run(dir, "checkout", "-q", "main")
	want("after a push to another branch", "next")
	w.commit(dir, map[string]string{"a": "main"})
	want("after a push to main", "folder", "head", "main")
	want("when nothing was pushed since, and nothing of the folder changed")
	w.run(dir, "tag", "v1.1.0")
	want("after a tag", "semver")
}
