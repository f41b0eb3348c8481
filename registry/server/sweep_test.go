package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slipway.dev/slipway/registry/contents"
	"slipway.dev/slipway/registry/server"
)

// yard is a registry with images that have names of the test's own.
type yard struct {
	*testing.T
	host   string
	root   string
	names  map[string]string // digest -> the test's name
	pushed map[string]name.Digest
}

func newYard(t *testing.T) *yard {
	t.Helper()
	root := t.TempDir()
	return &yard{T: t, root: root, host: serve(t, root), names: map[string]string{}, pushed: map[string]name.Digest{}}
}

// serve serves a registry over a folder and returns its host.
func serve(t *testing.T, root string) string {
	t.Helper()
	registry, err := server.New(t.Context(), server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(registry)
	t.Cleanup(func() { _ = registry.Close(); web.Close() })
	return strings.TrimPrefix(web.URL, "http://")
}

const imageSize = 4096 // of the only layer; what is around it is less

func (y *yard) push(called, reference string) {
	y.Helper()
	image, err := random.Image(imageSize, 1)
	if err != nil {
		y.Fatal(err)
	}
	y.put(called, reference, image)
}

// put pushes an image or an index, and makes sure that the next one is younger.
func (y *yard) put(called, reference string, what interface {
	remote.Taggable
	Digest() (v1.Hash, error)
}) {
	y.Helper()
	ref, err := name.ParseReference(y.host + "/" + reference)
	if err != nil {
		y.Fatal(err)
	}
	if err := remote.Push(ref, what, remote.WithContext(y.Context())); err != nil {
		y.Fatal(err)
	}
	digest, _ := what.Digest()
	y.names[digest.String()] = called
	y.pushed[called] = ref.Context().Digest(digest.String())
	old := time.Now().Add(-time.Hour).Add(time.Duration(len(y.pushed)) * time.Second)
	link := fmt.Sprintf("%s/docker/registry/v2/repositories/%s/_manifests/revisions/sha256/%s/link", y.root, ref.Context().RepositoryStr(), digest.Hex)
	if err := os.Chtimes(link, old, old); err != nil {
		y.Fatal(err)
	}
}

// attach pushes what tells of an image.
func (y *yard) attach(called, to string) {
	y.Helper()
	subject, err := remote.Head(y.pushed[to])
	if err != nil {
		y.Fatal(err)
	}
	image, err := random.Image(16, 1)
	if err != nil {
		y.Fatal(err)
	}
	telling, ok := mutate.Subject(mutate.MediaType(image, types.OCIManifestSchema1), *subject).(v1.Image)
	if !ok {
		y.Fatal("an image with a subject is none")
	}
	digest, err := telling.Digest()
	if err != nil {
		y.Fatal(err)
	}
	y.put(called, y.pushed[to].RepositoryStr()+"@"+digest.String(), telling)
}

func (y *yard) digest(called string) string { return y.pushed[called].DigestStr() }

// post asks for a sweep.
func (y *yard) sweep(request contents.SweepRequest) contents.SweepResult {
	y.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		y.Fatal(err)
	}
	response, err := http.Post("http://"+y.host+contents.SweepPath, "application/json", bytes.NewReader(body)) //nolint:noctx // a test
	if err != nil {
		y.Fatal(err)
	}
	defer response.Body.Close()
	var result contents.SweepResult
	if response.StatusCode != http.StatusOK {
		y.Fatalf("the sweep was answered with %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&result); err != nil {
		y.Fatal(err)
	}
	return result
}

func (y *yard) removed(result contents.SweepResult) []string {
	found := []string{}
	for _, image := range result.Removed {
		found = append(found, y.names[image.Digest])
	}
	return found
}

// left are the names of what can still be had, whole.
func (y *yard) left() []string {
	y.Helper()
	found := []string{}
	for called, ref := range y.pushed {
		descriptor, err := remote.Get(ref)
		if err != nil {
			continue
		}
		if descriptor.MediaType.IsImage() {
			image, err := descriptor.Image()
			if err != nil {
				y.Fatal(err)
			}
			if err := validate.Image(image); err != nil {
				y.Errorf("%s is not whole: %v", called, err)
			}
		}
		found = append(found, called)
	}
	slices.Sort(found)
	return found
}

func TestSweepChoosesWhatGoes(t *testing.T) {
	y := newYard(t)
	for _, called := range []string{"oldest", "older", "used", "old", "newest"} {
		y.push(called, "apps/hello:latest") // all but the newest lose the tag
	}
	for _, tag := range []string{"v1", "v2", "v3", "v4"} {
		y.push("tagged-"+tag, "apps/tagged:"+tag)
	}
	y.push("upstream", "mirror/quay.io/x:1")
	y.push("upstream-untagged", "mirror/quay.io/x:1")
	y.push("by-tag-untagged", "apps/by-tag:latest")
	y.push("by-tag", "apps/by-tag:latest")
	y.attach("source-of-used", "used")
	y.attach("source-of-oldest", "oldest")
	y.attach("note-of-source-of-used", "source-of-used")
	keep := contents.Keep{Digests: []string{y.digest("used"), "sha256:" + strings.Repeat("0", 64)}, References: []string{"apps/by-tag", "apps/tagged:v1"}}

	if got := y.removed(y.sweep(contents.SweepRequest{Budget: 1 << 30, Keep: keep})); len(got) != 0 {
		t.Errorf("within the budget it removed %v", got)
	}
	before := y.sweep(contents.SweepRequest{Budget: 1 << 30}).Used
	dry := y.sweep(contents.SweepRequest{Keep: keep, DryRun: true})
	if got := len(y.left()); got != len(y.pushed) {
		t.Errorf("a dry run left %d of %d", got, len(y.pushed))
	}

	two := y.sweep(contents.SweepRequest{Budget: before - 2*imageSize, Keep: keep})
	if diff := cmp.Diff([]string{"oldest", "source-of-oldest", "older"}, y.removed(two)); diff != "" {
		t.Errorf("to free a little (-want +got):\n%s", diff)
	}
	if two.Freed < 2*imageSize || two.Used != before-two.Freed {
		t.Errorf("freed %d of %d, now %d", two.Freed, before, two.Used)
	}
	rest := y.sweep(contents.SweepRequest{Keep: keep})
	if diff := cmp.Diff([]string{"old", "by-tag-untagged"}, y.removed(rest)); diff != "" {
		t.Errorf("to free all (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(y.removed(dry), append(y.removed(two), y.removed(rest)...)); diff != "" {
		t.Errorf("the dry run said something else (-dry +done):\n%s", diff)
	}
	want := []string{"by-tag", "newest", "note-of-source-of-used", "source-of-used", "tagged-v1", "tagged-v2", "tagged-v3", "tagged-v4", "upstream", "upstream-untagged", "used"}
	if diff := cmp.Diff(want, y.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if got := y.removed(y.sweep(contents.SweepRequest{Keep: contents.Keep{Digests: keep.Digests}})); !slices.Equal(got, []string{"tagged-v1"}) {
		t.Errorf("without the reference it removed %v, want the oldest of four tags", got)
	}
}

func TestSweepOfIndexes(t *testing.T) {
	y := newYard(t)
	y.push("shared", "apps/many:child")
	image, err := remote.Image(y.pushed["shared"])
	if err != nil {
		t.Fatal(err)
	}
	own, _ := random.Image(imageSize, 1)
	ownDigest, _ := own.Digest()
	for _, called := range []string{"first", "second"} {
		index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})
		if called == "first" {
			index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: own})
		}
		y.put(called, "apps/many:latest", index)
	}
	y.names[ownDigest.String()] = "own"
	y.pushed["own"] = y.pushed["first"].Context().Digest(ownDigest.String())
	if diff := cmp.Diff([]string{"first", "own"}, y.removed(y.sweep(contents.SweepRequest{}))); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"second", "shared"}, y.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// A foreign client sends blobs, and only then the manifest; a sweep in between must not take them, nor what it was told
// to be there.
func TestSweepLeavesAPushAlone(t *testing.T) {
	y := newYard(t)
	y.push("old", "apps/hello:latest")
	y.push("new", "apps/hello:latest")
	layer, err := random.Layer(imageSize, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	repository := y.pushed["old"].Context()
	if err := remote.WriteLayer(repository, layer); err != nil {
		t.Fatal(err)
	}
	if got := y.sweep(contents.SweepRequest{Grace: 3600}); len(got.Removed) != 0 || got.Blobs != 0 {
		t.Errorf("within the grace it removed %v and %d blobs", y.removed(got), got.Blobs)
	}
	got := y.sweep(contents.SweepRequest{})
	if diff := cmp.Diff([]string{"old"}, y.removed(got)); diff != "" || got.Blobs != 4 {
		t.Errorf("without grace it removed %d blobs, want the manifest, config and layer of one image and the loose layer (-want +got):\n%s", got.Blobs, diff)
	}
	digest, _ := layer.Digest()
	if held, err := remote.Layer(repository.Digest(digest.String())); err == nil {
		if _, err := held.Compressed(); err == nil {
			t.Error("the loose layer is still there")
		}
	}
	if err := remote.WriteLayer(repository, layer); err != nil {
		t.Fatal(err)
	}
	if _, err := held(t, repository.Digest(digest.String())); err != nil {
		t.Errorf("what a sweep took cannot be pushed again: %v", err)
	}
}

func held(t *testing.T, ref name.Digest) (int64, error) {
	t.Helper()
	layer, err := remote.Layer(ref)
	if err != nil {
		return 0, err
	}
	return layer.Size()
}

func TestSweepIsNotForWebPages(t *testing.T) {
	host := serve(t, t.TempDir())
	for contentType, want := range map[string]int{"text/plain": http.StatusUnsupportedMediaType, "application/json": http.StatusBadRequest} {
		response, err := http.Post("http://"+host+contents.SweepPath, contentType, strings.NewReader(`{"budget":0,"unknown":1}`)) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s is answered with %s, want %d", contentType, response.Status, want)
		}
	}
}

// sweepRoot makes the test below sweep a registry's folder: it is run as a program of its own, and killed.
const sweepRoot = "SLIPWAY_TEST_SWEEP_ROOT"

func TestSweepAsAProgram(t *testing.T) {
	root := os.Getenv(sweepRoot)
	if root == "" {
		t.Skip("it is for TestKilledInTheMiddleOfASweep")
	}
	registry, err := server.New(t.Context(), server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("sweeping")
	if _, err := registry.Sweep(t.Context(), contents.SweepRequest{}); err != nil {
		t.Fatal(err)
	}
}

func TestKilledInTheMiddleOfASweep(t *testing.T) {
	y := newYard(t)
	const images = 60
	for i := range images {
		y.push(fmt.Sprint("image-", i), "apps/hello:latest")
		if i%10 == 0 {
			y.attach(fmt.Sprint("source-", i), fmt.Sprint("image-", i))
		}
	}
	interrupted := 0
	for i := range 6 {
		sweep := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweepAsAProgram$")
		sweep.Env = append(os.Environ(), sweepRoot+"="+y.root)
		out, err := sweep.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := sweep.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, len("sweeping"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // a moment in the sweep, another one each time
		_ = sweep.Process.Kill()
		if sweep.Wait() != nil {
			interrupted++
		}
		if newest := fmt.Sprint("image-", images-1); i == 0 && !slices.Contains(y.left(), newest) { // it says what is not whole
			t.Errorf("%s, which has a tag, is gone", newest)
		}
		y.push(fmt.Sprint("after-", i), "apps/hello:latest")
	}
	t.Logf("%d of 6 sweeps were killed before their end", interrupted)
	y.sweep(contents.SweepRequest{})
	if diff := cmp.Diff([]string{"after-5"}, y.left()); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if result := y.sweep(contents.SweepRequest{}); len(result.Removed) != 0 || result.Blobs != 0 || result.Used > 2*imageSize {
		t.Errorf("another sweep removes %v and %d blobs, and %d bytes are used", y.removed(result), result.Blobs, result.Used)
	}
}
