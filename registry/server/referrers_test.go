package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestReferrers(t *testing.T) {
	y := newYard(t)
	y.push("app", "apps/referrers/hello:v1") // a repository may have any of the API's words in its name
	y.push("other", "apps/referrers/hello:v2")
	y.attach("source", "app")
	y.attach("note", "source")
	index, err := remote.Referrers(y.pushed["app"])
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != y.digest("source") || manifest.Manifests[0].Size == 0 {
		t.Errorf("the referrers of the app are %+v, want its source", manifest.Manifests)
	}
	if _, err := remote.Head(y.pushed["app"].Context().Tag(strings.Replace(y.digest("app"), ":", "-", 1))); err == nil {
		t.Error("the client made the tag that is for registries without referrers")
	}
	base := "http://" + y.host + "/v2/apps/referrers/hello/referrers/"
	for url, want := range map[string]int{
		base + y.digest("app"):                                                                    1,
		base + y.digest("other"):                                                                  0,
		base + y.digest("app") + "?artifactType=application/none":                                 0,
		"http://" + y.host + "/v2/apps/unknown/referrers/" + y.digest("app"):                      0,
		base + y.digest("app") + "?artifactType=application/vnd.docker.container.image.v1%2Bjson": 1,
	} {
		response, err := http.Get(url) //nolint:noctx,gosec // a test
		if err != nil {
			t.Fatal(err)
		}
		var found struct{ Manifests []any }
		err = json.NewDecoder(response.Body).Decode(&found)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || len(found.Manifests) != want || found.Manifests == nil {
			t.Errorf("%s: %s with %v, %v, want %d", url, response.Status, found.Manifests, err, want)
		}
	}
	for _, url := range []string{base + "no-digest", "http://" + y.host + "/v2/../../referrers/" + y.digest("app")} {
		if status := get(t, url); status == http.StatusOK {
			t.Errorf("%s is answered with 200", url)
		}
	}
}
