package collect

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/registry/contents"
)

func digestOf(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }

// ctrImages is what ctr 2.2 prints.
var ctrImages = strings.NewReplacer("DA", digestOf("a"), "DB", digestOf("b"), "DC", digestOf("c"), "DD", digestOf("d"), "DE", digestOf("e")).Replace(
	`REF                                    TYPE                                                 DIGEST SIZE      PLATFORMS   LABELS
docker.io/library/mine:1               application/vnd.oci.image.manifest.v1+json           DD     1.0 MiB   linux/amd64 io.cri-containerd.image=managed
localhost:5000/apps/hello@DA           application/vnd.oci.image.manifest.v1+json           DA     6.5 MiB   linux/amd64 io.cri-containerd.image=managed
localhost:5000/apps/hello:latest       application/vnd.oci.image.manifest.v1+json           DB     2.0 KiB   linux/amd64 io.cri-containerd.image=managed
localhost:5000/mirrored:1              application/vnd.oci.image.manifest.v1+json           DD     1.0 MiB   linux/amd64 io.cri-containerd.image=managed
registry.k8s.io/pause:3.10             application/vnd.docker.distribution.manifest.v2+json DC     312.0 KiB linux/amd64 io.cri-containerd.pinned=pinned
slipway-registry:5000/apps/hello@DB    application/vnd.oci.image.manifest.v1+json           DB     2.0 KiB   linux/amd64 io.cri-containerd.image=managed
localhost:5000/apps/run@DE             application/vnd.oci.image.manifest.v1+json           DE     17 B      linux/amd64 io.cri-containerd.image=managed
sha256:1234                            application/vnd.oci.image.manifest.v1+json           DA     6.5 MiB   linux/amd64 io.cri-containerd.image=managed
sha256:5678                            application/vnd.oci.image.manifest.v1+json           DE     17 B      linux/amd64 io.cri-containerd.image=managed
`)

const ctrContainers = `CONTAINER    IMAGE                         RUNTIME
0123         sha256:5678                   io.containerd.runc.v2
4567         registry.k8s.io/pause:3.10    io.containerd.runc.v2
`

func TestParseNode(t *testing.T) {
	got, err := parseNode(ctrImages, ctrContainers, "localhost:5000", "slipway-registry:5000")
	if err != nil {
		t.Fatal(err)
	}
	want := []nodeImage{
		{digest: digestOf("a"), names: []string{"localhost:5000/apps/hello@" + digestOf("a"), "sha256:1234"}, size: 6.5 * (1 << 20)},
		{digest: digestOf("b"), names: []string{"localhost:5000/apps/hello:latest", "slipway-registry:5000/apps/hello@" + digestOf("b")}, size: 2048},
		{digest: digestOf("e"), names: []string{"localhost:5000/apps/run@" + digestOf("e"), "sha256:5678"}, size: 17, used: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(nodeImage{})); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if _, err := parseNode("REF\nsomething else\n", "", "localhost:5000"); err == nil {
		t.Error("a list that cannot be read was taken for one without images")
	}
}

func TestNodeCandidates(t *testing.T) {
	now := time.Unix(10_000, 0)
	images := []nodeImage{{digest: "young"}, {digest: "used", used: true}, {digest: "old"}, {digest: "named"}, {digest: "tagged"}, {digest: "unknown"}, {digest: "older"}}
	listing := &contents.Listing{Images: []contents.Image{
		{Digest: "young", Pushed: now}, {Digest: "used", Pushed: now.Add(-5 * time.Hour)}, {Digest: "old", Pushed: now.Add(-2 * time.Hour)}, {Digest: "older", Pushed: now.Add(-3 * time.Hour)},
		{Digest: "named", Pushed: now.Add(-4 * time.Hour)}, {Digest: "tagged", Repository: "apps/x", Tags: []string{"v1", "v2"}, Pushed: now.Add(-4 * time.Hour)},
	}}
	var got []string
	for _, image := range nodeCandidates(images, contents.Keep{Digests: []string{"named"}, References: []string{"apps/x:v2"}}, listing, now.Add(-time.Minute)) {
		got = append(got, image.digest)
	}
	if diff := cmp.Diff([]string{"unknown", "older", "old"}, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

func TestEngineCandidates(t *testing.T) {
	now := time.Unix(10_000, 0)
	var got []string
	for _, image := range engineCandidates([]docker.Image{
		{ID: "old", Tagged: now.Add(-time.Hour)}, {ID: "used", Tagged: now.Add(-time.Hour), InUse: true}, {ID: "young", Tagged: now}, {ID: "older", Tagged: now.Add(-2 * time.Hour)},
	}, now.Add(-time.Minute)) {
		got = append(got, nameOf(image))
	}
	if diff := cmp.Diff([]string{"older", "old"}, got); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
}

func TestMentions(t *testing.T) {
	m := newMentions([]string{"localhost:5000", "slipway-registry:5000"})
	m.read([]byte(`{"a":"localhost:5000/apps/hello@` + digestOf("a") + `","b":"slipway-registry:5000/apps/team/web.v2:1.0-rc_1","c":"localhost:5000/apps/plain",
		"d":"http://slipway-registry:5000/v2/default/source/blobs/` + digestOf("b") + `","e":"docker.io/library/nginx:1","f":"image: localhost:5000/in-text:v1.\n","g":"sha256:abc",
		"h":"docker-pullable://x@` + digestOf("c") + `","i":"localhost:50000/other:1"}`))
	want := contents.Keep{
		Digests:    []string{digestOf("a"), digestOf("b"), digestOf("c")},
		References: []string{"apps/hello:latest", "apps/plain:latest", "apps/team/web.v2:1.0-rc_1", "in-text:v1."},
	}
	delete(m.references, "v2/default/source/blobs/sha256:"+strings.Repeat("b", 64)) // an address; as a name it keeps nothing
	got := m.keep()
	slices.Sort(got.Digests)
	slices.Sort(got.References)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
