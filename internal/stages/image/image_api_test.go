package image_test

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/apitest"
	"slipway.dev/slipway/internal/stages/image"
	"slipway.dev/slipway/registry/events"
	"slipway.dev/slipway/registry/server"
)

// cluster is an API server with the Image kind, and the registries that its Images live in.
type cluster struct {
	client.Client
	t *testing.T
}

// TestImageOnARealAPIServer runs the stage as slipwayd does. The poll interval of its Images is an hour where
// the stream is to be seen alone.
func TestImageOnARealAPIServer(t *testing.T) {
	server.CaptureLibraryLogs(slog.New(slog.DiscardHandler))
	api := apitest.Start(t)
	c := &cluster{Client: api, t: t}
	manage := func(t *testing.T, options image.Options) {
		t.Helper()
		mgr := api.Manager(t)
		if err := image.Setup(t.Context(), mgr, options); err != nil {
			t.Fatal(err)
		}
		apitest.Run(t, mgr)
	}

	t.Run("the schema refuses an empty image", func(t *testing.T) {
		err := c.Create(t.Context(), &v1alpha1.Image{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "empty"}})
		if err == nil || !strings.Contains(err.Error(), "spec.image") {
			t.Errorf("Create = %v, want an error that names spec.image", err)
		}
	})
	t.Run("events", func(t *testing.T) { testEvents(t, c, manage) })
	t.Run("poll", func(t *testing.T) { testPoll(t, c, manage) })
}

// testEvents: nothing is polled, so every change that is seen was told.
func testEvents(t *testing.T, c *cluster, manage func(*testing.T, image.Options)) {
	address := freeAddress(t)
	root := t.TempDir()
	stop := serve(t, address, root)
	c.create("told", "localhost:5000/apps/told")
	c.create("other", "localhost:5000/apps/other:v1")
	first, other := push(t, address+"/apps/told:latest"), push(t, address+"/apps/other:v1")
	manage(t, image.Options{
		Aliases:      map[string]string{"localhost:5000": address},
		EventsURL:    "http://" + address + events.Path,
		PollInterval: time.Hour,
	})
	c.wait("told", "localhost:5000/apps/told@"+first)
	before := c.wait("other", "localhost:5000/apps/other@"+other)

	second := push(t, address+"/apps/told:latest")
	c.wait("told", "localhost:5000/apps/told@"+second)
	if after := c.wait("other", "localhost:5000/apps/other@"+other); after.ResourceVersion != before.ResourceVersion {
		t.Error("a push elsewhere wrote the other image's status")
	}

	c.create("later", "localhost:5000/apps/later:v1")
	c.waitReason("later", v1alpha1.ReasonNotFound)
	later := push(t, address+"/apps/later:v1")
	c.wait("later", "localhost:5000/apps/later@"+later)

	// A registry that was away and had a push meanwhile, through another server on the same directory.
	stop()
	c.waitReason("told", v1alpha1.ReasonUnreachable)
	third := pushInto(t, root, "apps/told:latest")
	serve(t, address, root)
	c.wait("told", "localhost:5000/apps/told@"+third)
}

// testPoll: a registry without a stream, whose 404 is understood.
func testPoll(t *testing.T, c *cluster, manage func(*testing.T, image.Options)) {
	registry, err := server.New(t.Context(), server.Options{Root: t.TempDir(), NoEvents: true})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(registry)
	t.Cleanup(func() { web.Close(); _ = registry.Close() })
	host := strings.TrimPrefix(web.URL, "http://")
	c.create("polled", "registry.example:5000/apps/polled:v1")
	first := push(t, host+"/apps/polled:v1")
	manage(t, image.Options{
		Aliases:      map[string]string{"registry.example:5000": host},
		EventsURL:    "http://" + host + events.Path,
		PollInterval: 50 * time.Millisecond,
	})
	c.wait("polled", "registry.example:5000/apps/polled@"+first)
	second := push(t, host+"/apps/polled:v1")
	c.wait("polled", "registry.example:5000/apps/polled@"+second)
}

func (c *cluster) create(name, reference string) {
	c.t.Helper()
	object := &v1alpha1.Image{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: v1alpha1.ImageSpec{Image: reference}}
	if err := c.Create(c.t.Context(), object); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = c.Delete(c.t.Context(), object) })
}

// wait returns the Image when it is complete at latest.
func (c *cluster) wait(name, latest string) *v1alpha1.Image {
	c.t.Helper()
	return c.until(name, latest, func(found *v1alpha1.Image) bool {
		return found.Status.LatestImage == latest && found.Status.Complete
	})
}

func (c *cluster) waitReason(name, reason string) {
	c.t.Helper()
	c.until(name, reason, func(found *v1alpha1.Image) bool {
		condition := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady)
		return condition != nil && condition.Reason == reason
	})
}

func (c *cluster) until(name, want string, done func(*v1alpha1.Image) bool) *v1alpha1.Image {
	c.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		var found v1alpha1.Image
		if err := c.Get(c.t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &found); err != nil {
			c.t.Fatal(err)
		}
		if done(&found) {
			return &found
		}
		select {
		case <-tick.C:
		case <-limit:
			c.t.Fatalf("image %s is at %+v, want %s", name, found.Status, want)
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// serve runs slipway's registry at address until the test ends or the returned function is called.
func serve(t *testing.T, address, root string) (stop func()) {
	t.Helper()
	registry, err := server.New(t.Context(), server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: registry, ReadHeaderTimeout: time.Second}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = web.Serve(listener) }()
	stop = func() {
		_ = registry.Close()
		_ = web.Close()
		<-ended
	}
	t.Cleanup(stop)
	return stop
}

func push(t *testing.T, reference string) string {
	t.Helper()
	made, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, made); err != nil {
		t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// pushInto pushes into the directory of a registry that does not run.
func pushInto(t *testing.T, root, reference string) string {
	t.Helper()
	registry, err := server.New(t.Context(), server.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	web := httptest.NewServer(registry)
	defer web.Close()
	return push(t, strings.TrimPrefix(web.URL, "http://")+"/"+reference)
}
