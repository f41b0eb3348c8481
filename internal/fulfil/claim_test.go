package fulfil

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/registry"
)

// bay is a cluster with one Build, whose image is asked for, a registry, and a source: all in memory, so that the time of
// a bubble passes while something works.
type bay struct {
	*testing.T
	cluster *fake.FakeDynamicClient
	images  http.Handler
	source  []byte
	cancel  context.CancelFunc
	ctx     context.Context //nolint:containedctx // of the builders
	ends    sync.WaitGroup

	mutex  sync.Mutex // guards what follows
	pushes int        // of manifests
	status int        // that the source is answered with, but on the host other; 0 means 200
	cut    bool       // the source ends in its middle
}

func newBay(t *testing.T) *bay {
	t.Helper()
	b := &v1alpha1.Build{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Build"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "image"},
		Spec:       v1alpha1.BuildSpec{Image: "localhost:5000/apps/hello", Source: v1alpha1.BuildSource{URL: "http://localhost:5000/source", Revision: "one"}},
	}
	b.Status.Request = &v1alpha1.BuildRequest{BuildInputs: v1alpha1.BuildInputs{Source: b.Spec.Source}, ID: "1", Reason: v1alpha1.CauseSource}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	y := &bay{T: t, ctx: ctx, cancel: cancel, images: ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0)))}
	y.cluster = fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resource: "BuildList"},
		&unstructured.Unstructured{Object: content})
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	if err := archive.WriteHeader(&tar.Header{Name: "main.go", Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	y.source = packed.Bytes()
	return y
}

// RoundTrip answers for the registry and for the source.
func (y *bay) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	response := httptest.NewRecorder()
	y.mutex.Lock()
	defer y.mutex.Unlock()
	switch {
	case request.URL.Path == "/source" && y.status != 0 && request.URL.Host != "other":
		response.WriteHeader(y.status)
	case request.URL.Path == "/source" && y.cut:
		_, _ = response.Write(y.source[:len(y.source)/2])
	case request.URL.Path == "/source":
		_, _ = response.Write(y.source)
	default:
		if request.Method == http.MethodPut && strings.Contains(request.URL.Path, "/manifests/") {
			y.pushes++
		}
		if request.Body == nil {
			request.Body = http.NoBody
		}
		y.images.ServeHTTP(response, request)
	}
	result := response.Result()
	result.Request = request
	return result, nil
}

func (y *bay) pushed() int {
	y.mutex.Lock()
	defer y.mutex.Unlock()
	return y.pushes
}

// watch runs a builder until the end.
func (y *bay) watch(by string, builder build.Builder, edits ...func(*Options)) {
	options := Options{
		Cluster: y.cluster, Registry: "localhost:5000", Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, By: by,
		NewBuilder: func() (build.Builder, error) { return builder, nil }, Pusher: registry.NewPusher(y),
	}
	for _, edit := range edits {
		edit(&options)
	}
	f := newFulfiller(options)
	f.artifacts = &http.Client{Transport: y}
	end, err := f.start(y.ctx)
	if err != nil {
		y.Fatal(err)
	}
	y.ends.Go(func() {
		<-y.ctx.Done()
		end()
	})
}

// end ends the builders.
func (y *bay) end() {
	y.cancel()
	y.ends.Wait()
}

func (y *bay) get() *v1alpha1.Build {
	y.Helper()
	found, err := y.cluster.Resource(resource).Namespace("default").Get(y.Context(), "image", metav1.GetOptions{})
	if err != nil {
		y.Fatal(err)
	}
	b, err := read(found)
	if err != nil {
		y.Fatal(err)
	}
	return b
}

// hold claims the request for another builder, until then.
func (y *bay) hold(by string, until time.Time) {
	y.Helper()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"claim": v1alpha1.BuildClaim{Request: "1", By: by, Until: metav1.NewTime(until)}}})
	if err != nil {
		y.Fatal(err)
	}
	if _, err := y.cluster.Resource(resource).Namespace("default").Patch(y.Context(), "image", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		y.Fatal(err)
	}
}

// slow is a builder whose builds take a time.
type slow struct {
	takes    time.Duration
	stubborn bool // it builds on when its context ends

	mutex        sync.Mutex
	began, ended int
	causes       []error
}

func (s *slow) Build(ctx context.Context, _ build.Request) (*build.Result, error) {
	s.count(&s.began)
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		s.mutex.Lock()
		s.causes = append(s.causes, context.Cause(ctx))
		s.mutex.Unlock()
		if !s.stubborn {
			return nil, ctx.Err()
		}
	}
	s.count(&s.ended)
	return &build.Result{Image: empty.Image}, nil
}

func (s *slow) count(what *int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	*what++
}

func (s *slow) counts() (began, ended int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.began, s.ended
}

func (*slow) Close() error { return nil }

// TestRenewedClaimIsRespected has two builders, one of which is at work for longer than many claims last.
func TestRenewedClaimIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		first, second := &slow{takes: 10 * lease}, &slow{}
		y.watch("one", first)
		synctest.Wait()
		y.watch("two", second)
		time.Sleep(9 * lease)
		if claim := y.get().Status.Claim; claim == nil || claim.By != "one" || y.pushed() != 0 {
			t.Errorf("claim %+v, %d pushes", claim, y.pushed())
		}
		time.Sleep(2 * lease)
		began, _ := second.counts()
		if answer := y.get().Status.Answer; answer == nil || answer.By != "one" || answer.Image == "" || began != 0 || y.pushed() == 0 {
			t.Errorf("answer %+v, the other began %d builds, %d pushes", answer, began, y.pushed())
		}
	})
}

// TestClaimOfTheDeadIsTaken has a claim that nobody renews, also that of a machine whose clock is far ahead.
func TestClaimOfTheDeadIsTaken(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"in time": lease / 2, "ahead": time.Hour, "over": -time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newBay(t)
				defer y.end()
				y.hold("the dead", time.Now().Add(ahead))
				builder := &slow{}
				y.watch("one", builder)
				synctest.Wait()
				if began, _ := builder.counts(); began != 0 && ahead > 0 {
					t.Error("the claim was not waited for")
				}
				time.Sleep(lease + 2*time.Second)
				if answer := y.get().Status.Answer; answer == nil || answer.By != "one" {
					t.Errorf("answer %+v", answer)
				}
			})
		})
	}
}

// TestLostClaim has a builder that loses its claim in the middle of a build, which it ends, and one whose tools do not end:
// neither pushes nor answers, and both leave the claim alone.
func TestLostClaim(t *testing.T) {
	for name, stubborn := range map[string]bool{"builder ends": false, "builder does not end": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				y := newBay(t)
				defer y.end()
				builder := &slow{takes: time.Hour, stubborn: stubborn}
				y.watch("one", builder)
				synctest.Wait()
				time.Sleep(time.Second)
				for range 10 { // the other one renews its claim
					y.hold("two", time.Now().Add(lease))
					time.Sleep(renewal)
				}
				b := y.get()
				if b.Status.Answer != nil || b.Status.Claim == nil || b.Status.Claim.By != "two" || y.pushed() != 0 {
					t.Errorf("answer %+v, claim %+v, %d pushes", b.Status.Answer, b.Status.Claim, y.pushed())
				}
				builder.mutex.Lock()
				if len(builder.causes) == 0 {
					t.Error("the build was not ended")
				}
				builder.mutex.Unlock()
				// When the other one is gone the request is taken again.
				time.Sleep(2*lease + 2*time.Second)
				if claim := y.get().Status.Claim; claim == nil || claim.By != "one" {
					t.Errorf("claim %+v after the other builder ended", claim)
				}
			})
		})
	}
}

// TestClaimLastsWhileTheSourceIsAway has a builder that does not reach the source: it keeps its claim from one try to the
// next, with what is wrong, and gives it back when it ends.
func TestClaimLastsWhileTheSourceIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		y.status = http.StatusServiceUnavailable
		y.watch("one", &slow{})
		time.Sleep(lease)
		for range 300 {
			if claim := y.get().Status.Claim; claim == nil || claim.By != "one" || !claim.Until.After(time.Now()) || !strings.Contains(claim.Problem, "503 Service Unavailable") {
				t.Fatalf("claim %+v", claim)
			}
			time.Sleep(time.Second)
		}
		y.end()
		if claim := y.get().Status.Claim; claim != nil {
			t.Errorf("claim %+v of a builder that has ended", claim)
		}
	})
}

// TestOthersMayReachTheSource has two builders that do not reach the source, one of which keeps the claim, and then one that
// does.
func TestOthersMayReachTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		y.status = http.StatusServiceUnavailable
		y.watch("one", &slow{})
		time.Sleep(lease)
		y.watch("two", &slow{})
		time.Sleep(lease)
		for range 300 {
			if claim := y.get().Status.Claim; claim == nil || claim.By != "two" || claim.Problem == "" {
				t.Fatalf("claim %+v", claim)
			}
			time.Sleep(time.Second)
		}
		y.watch("three", &slow{}, func(o *Options) { o.Hosts = map[string]string{"localhost:5000": "other"} })
		synctest.Wait()
		if answer := y.get().Status.Answer; answer == nil || answer.By != "three" || answer.Image == "" {
			t.Errorf("answer %+v", answer)
		}
	})
}

// TestNothingIsPushedWithoutTheClaim has a builder that loses its claim before anybody can tell it.
func TestNothingIsPushedWithoutTheClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		f := newFulfiller(Options{Cluster: y.cluster, By: "one", Pusher: registry.NewPusher(y)})
		f.artifacts = &http.Client{Transport: y}
		w := &worker{fulfiller: f, key: types.NamespacedName{Namespace: "default", Name: "image"}, builder: &slow{}}
		order := orderOf(y.get())
		if made, err := w.make(t.Context(), order, silent{}); err != nil || made == nil || y.pushed() != 1 {
			t.Fatalf("%+v, %v, %d pushes", made, err, y.pushed())
		}
		y.hold("two", time.Now().Add(lease))
		if _, err := w.make(t.Context(), order, silent{}); !errors.Is(err, errTaken) || y.pushed() != 1 {
			t.Errorf("%v, %d pushes", err, y.pushed()-1)
		}
		if err := w.answer(t.Context(), v1alpha1.BuildAnswer{Request: "1", Image: "a"}, false); !errors.Is(err, errTaken) {
			t.Errorf("it answers: %v", err)
		}
	})
}

// TestStockAnswersBesideAClaim has an image that is there already: its answer ends the other's build, and takes no claim.
func TestStockAnswersBesideAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		builder := &slow{takes: time.Hour}
		y.watch("one", builder)
		synctest.Wait()
		y.watch("two", nil, func(o *Options) { o.NewBuilder, o.Stock = nil, inStock{} })
		synctest.Wait()
		if b := y.get(); b.Status.Answer == nil || b.Status.Answer.By != "two" || b.Status.Claim != nil {
			t.Errorf("status %+v", b.Status)
		}
		if began, ended := builder.counts(); began != 1 || ended != 0 || y.pushed() != 0 {
			t.Errorf("%d builds began, %d ended, %d pushes", began, ended, y.pushed())
		}
	})
}

// TestRebaseWaitsForAClaim has another builder at work on a newer base, of a tree that is in stock: nothing is tried beside
// it, and it is taken up when that builder is gone.
func TestRebaseWaitsForAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newBay(t)
		defer y.end()
		y.because(v1alpha1.CauseBaseImage)
		y.hold("two", time.Now().Add(lease))
		stock := &counted{}
		y.watch("one", nil, func(o *Options) { o.NewBuilder, o.Stock = nil, stock })
		for range 10 { // the other one renews its claim
			time.Sleep(renewal)
			y.hold("two", time.Now().Add(lease))
		}
		if answer := y.get().Status.Answer; stock.taken.Load() != 0 || answer != nil {
			t.Errorf("tried %d times beside the other builder, answer %+v", stock.taken.Load(), answer)
		}
		time.Sleep(2*lease + 2*time.Second)
		if answer := y.get().Status.Answer; stock.taken.Load() != 1 || answer == nil || answer.By != "one" {
			t.Errorf("tried %d times after the other builder, answer %+v", stock.taken.Load(), answer)
		}
	})
}

// because sets why the image is asked for.
func (y *bay) because(reason string) {
	y.Helper()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"request": map[string]any{"reason": reason}}})
	if err != nil {
		y.Fatal(err)
	}
	if _, err := y.cluster.Resource(resource).Namespace("default").Patch(y.Context(), "image", types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		y.Fatal(err)
	}
}

// counted is a stock that counts what is taken of it.
type counted struct {
	inStock
	taken atomic.Int32
}

func (c *counted) Take(ctx context.Context, order Order) (*Made, error) {
	c.taken.Add(1)
	return c.inStock.Take(ctx, order)
}

// inStock refuses at once, which is an answer, too.
type inStock struct{}

func (inStock) Expect(Order)   {}
func (inStock) Has(Order) bool { return true }
func (inStock) Take(context.Context, Order) (*Made, error) {
	return nil, &Refusal{&build.SourceError{Command: "go build .", Output: "main.go:1:1: wrong"}}
}

func TestRival(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	claim := func(by string, until time.Duration) v1alpha1.BuildClaim {
		return v1alpha1.BuildClaim{Request: "1", By: by, Until: metav1.NewTime(start.Add(until))}
	}
	r := &rival{}
	for _, step := range []struct {
		name  string
		claim v1alpha1.BuildClaim
		now   time.Duration
		want  time.Duration
	}{
		{"new", claim("a", 20*time.Second), 0, 20 * time.Second},
		{"the same later", claim("a", 20*time.Second), 15 * time.Second, 5 * time.Second},
		{"over", claim("a", 20*time.Second), 21 * time.Second, 0},
		{"renewed", claim("a", 22*time.Second), 22 * time.Second, lease},
		{"old news", claim("a", 20*time.Second), 32 * time.Second, lease - 10*time.Second},
		{"gone", claim("a", 22*time.Second), 53 * time.Second, 0},
		{"another's, whose clock is ahead", claim("b", time.Hour), 60 * time.Second, lease},
		{"that nobody renews", claim("b", time.Hour), 91 * time.Second, 0},
		{"another's, whose clock is behind", claim("c", 0), 100 * time.Second, 0},
		{"that is renewed", claim("c", 10*time.Second), 110 * time.Second, lease},
	} {
		if got := r.left(step.claim, start.Add(step.now)); got != step.want {
			t.Errorf("%s: %s, want %s", step.name, got, step.want)
		}
	}
}
