package source

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitevents "slipway.dev/slipway/internal/git/events"
	"slipway.dev/slipway/registry/events"
)

const pushedDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestPushesWake has every kind of Source follow the two servers, and looks at whom each push wakes.
func TestPushesWake(t *testing.T) {
	hubs, urls := map[string]*events.Hub{}, map[string]string{}
	for _, server := range []string{"git", "registry"} {
		hub := events.NewHub()
		web := httptest.NewServer(hub)
		t.Cleanup(web.Close)
		t.Cleanup(hub.Close)
		hubs[server], urls[server] = hub, web.URL
	}
	host := func(server string) string { return strings.TrimPrefix(urls[server], "http://") }
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	options := Options{
		Aliases: map[string]string{"localhost:5000": host("registry")}, GitAliases: map[string]string{"localhost:9418": host("git")}, Registry: "localhost:5000",
		EventsURL: urls["registry"] + events.Path, GitEventsURL: urls["git"] + gitevents.Path, Secrets: inTheOpen{},
	}
	r, err := newReconciler(nil, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithIndex(&v1alpha1.Source{}, followedField, index(r.streams))
	git := func(url string, ref v1alpha1.GitReference) v1alpha1.SourceSpec {
		return v1alpha1.SourceSpec{Git: &v1alpha1.GitSource{URL: url, Ref: ref}}
	}
	for name, spec := range map[string]v1alpha1.SourceSpec{
		"main":      git("http://"+host("git")+"/team/app.git", v1alpha1.GitReference{Branch: "main"}),
		"published": git("http://localhost:9418/team/app", v1alpha1.GitReference{}),
		"versions":  git("http://localhost:9418/team/app", v1alpha1.GitReference{Semver: ">=1.0.0"}),
		"other":     git("http://localhost:9418/team/other", v1alpha1.GitReference{}),
		"elsewhere": git("http://example.com/team/app.git", v1alpha1.GitReference{}),
		"latest":    {Image: "localhost:5000/sources/app"},
		"v1":        {Image: "localhost:5000/sources/app:v1"},
		"digest":    {Image: "localhost:5000/sources/app@" + pushedDigest},
		"hub":       {Image: "example.com/sources/app"},
	} {
		cluster = cluster.WithObjects(&v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: spec})
	}
	woken := make(chan event.GenericEvent)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reader := cluster.Build()
	for _, one := range r.streams {
		one.sources, one.wakes = reader, woken
		go func() { _ = one.Start(ctx) }()
	}
	// take returns the next n Sources that are woken.
	take := func(n int) []string {
		var names []string
		for range n {
			select {
			case one := <-woken:
				names = append(names, one.Object.GetName())
			case <-ctx.Done():
				t.Fatalf("only %v were woken", names)
			}
		}
		slices.Sort(names)
		return names
	}
	want := []string{"digest", "latest", "main", "other", "published", "v1", "versions"}
	if diff := cmp.Diff(want, take(len(want))); diff != "" {
		t.Errorf("on connecting (-want +got):\n%s", diff)
	}
	pushed := func(server string, event events.Event, want ...string) {
		t.Helper()
		hubs[server].Publish(event)
		// What a second push wakes shows that the first has woken no more.
		hubs["git"].Publish(events.Event{Action: events.Push, Repository: "team/other", Tag: "refs/heads/x"})
		if diff := cmp.Diff(slices.Sorted(slices.Values(append(want, "other"))), take(len(want)+1)); diff != "" {
			t.Errorf("%s %+v (-want +got):\n%s", server, event, diff)
		}
	}
	pushed("git", events.Event{Action: events.Push, Repository: "team/app", Tag: "refs/heads/main"}, "main", "published")
	pushed("git", events.Event{Action: events.Push, Repository: "team/app", Tag: "refs/heads/next"}, "published")
	pushed("git", events.Event{Action: events.Push, Repository: "team/app", Tag: "refs/tags/v1.0.0"}, "published", "versions")
	pushed("git", events.Event{Action: events.Push, Repository: "team/none", Tag: "refs/heads/main"})
	pushed("registry", events.Event{Action: events.Push, Repository: "sources/app", Tag: "v1"}, "v1")
	pushed("registry", events.Event{Action: events.Push, Repository: "sources/app", Digest: pushedDigest}, "digest")
	pushed("registry", events.Event{Action: events.Push, Repository: "sources/app", Tag: "latest", Digest: pushedDigest}, "digest", "latest")
	pushed("registry", events.Event{Action: events.Delete, Repository: "sources/app"}, "latest", "v1")
}

func TestStreamURLs(t *testing.T) {
	for _, url := range []string{"no url", "ftp://registry", "http://", ":"} {
		options := Options{Aliases: map[string]string{"localhost:5000": "registry:5000"}, Registry: "localhost:5000", GitEventsURL: url}
		if _, err := newReconciler(nil, nil, options); err == nil {
			t.Errorf("%q is taken for a URL", url)
		}
	}
}
