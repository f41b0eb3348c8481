package release

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

func named(name, uid string) *v1alpha1.Release {
	return &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: types.UID(uid)}}
}

func of(digest string, size int64) content {
	return content{digest: digest, objects: []*unstructured.Unstructured{{}}, size: size}
}

func TestContents(t *testing.T) {
	c := contents{most: 10}
	a, b := named("a", "1"), named("b", "2")
	made := of("one", 6)
	made.generation, made.appliedAt = 3, time.Unix(1, 0)
	c.put(a, made)
	if got := c.get(a, "one"); got.objects == nil || got.generation != 3 {
		t.Errorf("kept is %+v", got)
	}
	if got := c.get(a, "two"); got.objects != nil || got.generation != 0 || got.digest != "two" {
		t.Errorf("another digest gives %+v", got)
	}
	if got := c.get(named("a", "9"), "one"); got.objects != nil || got.generation != 0 {
		t.Errorf("another Release of that name gets %+v", got)
	}

	// The one that was not used for longer goes, but for when it was applied.
	c.put(b, of("b", 4))
	c.get(a, "one")
	c.put(named("c", "3"), of("c", 3))
	if c.get(a, "one").objects == nil || c.get(b, "b").objects != nil || c.kept != 9 {
		t.Errorf("kept are %+v, %d bytes", c.of, c.kept)
	}
	c.get(named("c", "3"), "c")
	c.put(b, of("b", 4))
	if got := c.get(a, "one"); got.objects != nil || got.generation != 3 || got.appliedAt.IsZero() || c.kept != 7 {
		t.Errorf("what has gone is %+v, and %d bytes are kept", got, c.kept)
	}

	// What is put again does not count twice, and what is dropped does not count.
	c.put(b, of("b", 5))
	if c.kept != 8 {
		t.Errorf("%d bytes are kept, want 8", c.kept)
	}
	for _, name := range []string{"a", "b", "c", "none"} {
		c.drop(types.NamespacedName{Namespace: "team", Name: name})
	}
	if c.kept != 0 || len(c.of) != 0 {
		t.Errorf("%d bytes of %d are kept after all were dropped", c.kept, len(c.of))
	}
	c.put(a, of("one", 11))
	if c.get(a, "one").objects != nil || c.kept != 0 {
		t.Errorf("one that is too large is kept: %d bytes", c.kept)
	}
}

// TestDropsWhatIsGone: a Release without a finalizer is just not there any more.
func TestDropsWhatIsGone(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	r := &reconciler{client: fake.NewClientBuilder().WithScheme(scheme).Build()}
	release := named("a", "1")
	r.contents.put(release, of("one", 6))
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(release)}); err != nil {
		t.Fatal(err)
	}
	if r.contents.kept != 0 || len(r.contents.of) != 0 {
		t.Errorf("%d bytes are kept of a Release that is gone", r.contents.kept)
	}
}

// TestSizeOfManifests: it is that of the manifests alone.
func TestSizeOfManifests(t *testing.T) {
	dir := t.TempDir()
	text := "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
	for name, content := range map[string]string{"a.yml": text, "README.md": "long words"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, size, err := read(dir, "")
	if err != nil || len(objects) != 1 || size != int64(len(text)) {
		t.Errorf("read %d objects of %d bytes, %v; want one of %d", len(objects), size, err, len(text))
	}
}
