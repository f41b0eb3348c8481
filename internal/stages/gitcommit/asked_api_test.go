package gitcommit_test

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
)

// testAsked: what somebody else has made of the files stays, until somebody asks for them; what others commit beside them
// is no new revision.
func testAsked(c *cluster) {
	c.manage()
	folder := "config/" + c.namespace() + "/app"
	c.apply("web", "{workload: app, files: {delivery.yml: 'a: 1'}, git: {"+c.target("team/asked")+"}}")
	first := c.eventually("web", v1alpha1.ReasonCommitted, "")
	commit := func(path string) {
		c.Helper()
		repository := gitclient.Repository{URL: "http://" + c.git + "/team/asked.git"}
		change := gitclient.Change{Branch: "main", Path: path, Files: map[string]string{"delivery.yml": "b: 2"}, Name: "ann", Email: "ann@example.com", Message: "by hand", Now: time.Now}
		if _, err := repository.Commit(c.Context(), change); err != nil {
			c.Fatal(err)
		}
	}
	ask := func(request string) *v1alpha1.GitCommit {
		c.Helper()
		found := c.get("web")
		before := found.DeepCopy()
		found.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: request}
		if err := c.Patch(c.Context(), found, client.MergeFrom(before)); err != nil {
			c.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if found = c.get("web"); found.Status.LastHandledRequest == request {
				return found
			}
		}
		c.Fatalf("nobody heeds the request: %+v", found.Status)
		return nil
	}
	commit("elsewhere")
	if beside := ask("one"); beside.Status.Revision != first.Status.Revision {
		c.Errorf("revision %s after a commit beside the files, want %s", beside.Status.Revision, first.Status.Revision)
	}
	commit(folder)
	again := ask("two")
	if got, want := again.Status.Revision, "main@sha1:"+c.inGit("team/asked", "rev-parse", "main"); got != want || got == first.Status.Revision {
		c.Errorf("revision %s, want %s", got, want)
	}
	if got := c.inGit("team/asked", "show", "main:"+folder+"/delivery.yml"); got != "a: 1" {
		c.Errorf("delivery.yml = %q", got)
	}
}
