package build

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
)

var one = v1alpha1.BuildSource{URL: "http://r/v2/a/blobs/sha256:" + strings.Repeat("1", 64), Revision: "main@sha1:1"}

func TestCauses(t *testing.T) {
	spec := v1alpha1.BuildSpec{Source: one, Image: "localhost:5000/apps/a", Env: []v1alpha1.BuildVariable{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}
	first := &v1alpha1.Build{Spec: spec}
	latest := inputs(first)
	for name, test := range map[string]struct {
		edit func(*v1alpha1.Build)
		want string
	}{
		"nothing":                            {func(*v1alpha1.Build) {}, ""},
		"the same files of another revision": {func(b *v1alpha1.Build) { b.Spec.Source.Revision = "main@sha1:2" }, ""},
		"the same files elsewhere":           {func(b *v1alpha1.Build) { b.Spec.Source.URL = strings.Replace(one.URL, "/a/", "/b/", 1) }, ""},
		"the digest said apart": {func(b *v1alpha1.Build) {
			b.Spec.Source.URL, b.Spec.Source.Digest = "http://elsewhere", "sha256:"+strings.Repeat("1", 64)
		}, ""},
		"other files":                 {func(b *v1alpha1.Build) { b.Spec.Source.URL = strings.ReplaceAll(one.URL, "1", "2") }, "SOURCE"},
		"no digest, another revision": {func(b *v1alpha1.Build) { b.Spec.Source = v1alpha1.BuildSource{URL: "http://r/a.tgz", Revision: "2"} }, "SOURCE"},
		"env in another order":        {func(b *v1alpha1.Build) { b.Spec.Env = []v1alpha1.BuildVariable{spec.Env[1], spec.Env[0]} }, ""},
		"other env":                   {func(b *v1alpha1.Build) { b.Spec.Env = spec.Env[:1] }, "CONFIG"},
		"another place":               {func(b *v1alpha1.Build) { b.Spec.Image += "b" }, "CONFIG"},
		"another account":             {func(b *v1alpha1.Build) { b.Spec.ServiceAccountName = "a" }, ""},
		"asked":                       {func(b *v1alpha1.Build) { b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"} }, "MANUAL"},
		"a newer base":                {func(b *v1alpha1.Build) { b.Status.Base = &v1alpha1.BuildBase{Digest: "sha256:1", Newest: "sha256:2"} }, "BASE_IMAGE"},
		"a newer base of a Dockerfile": {func(b *v1alpha1.Build) {
			b.Status.Bases = []v1alpha1.BuildBase{{Digest: "sha256:1"}, {Digest: "sha256:1", Newest: "sha256:2"}}
		}, "BASE_IMAGE"},
		"a base that is the same again": {func(b *v1alpha1.Build) { b.Status.Base = &v1alpha1.BuildBase{Digest: "sha256:1", Newest: "sha256:1"} }, ""},
		"all": {func(b *v1alpha1.Build) {
			b.Spec.Source.Digest, b.Spec.Env = "sha256:2", nil
			b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
			b.Status.Base = &v1alpha1.BuildBase{Digest: "sha256:1", Newest: "sha256:2"}
		}, "SOURCE,CONFIG,BASE_IMAGE,MANUAL"},
	} {
		t.Run(name, func(t *testing.T) {
			b := first.DeepCopy()
			test.edit(b)
			now := inputs(b)
			if got := strings.Join(causes(&latest, now), ","); got != test.want {
				t.Errorf("causes %q, want %q", got, test.want)
			}
			if same := identify(now) == identify(latest); same != (test.want == "") {
				t.Errorf("the same id: %t", same)
			}
		})
	}
	if got := causes(nil, latest); !cmp.Equal(got, []string{"SOURCE"}) {
		t.Errorf("causes of the first build: %v", got)
	}
}

// world is a registry that answers with a status, and a cluster with one Build.
type world struct {
	*reconciler
	*testing.T
	status  int
	clock   time.Time
	patches int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, status: http.StatusOK, clock: time.Unix(1_000_000, 0)}
	images := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/v2/" {
			return
		}
		response.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		response.Header().Set("Docker-Content-Digest", request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:])
		response.Header().Set("Content-Length", "2")
		response.WriteHeader(w.status)
	}))
	t.Cleanup(images.Close)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &v1alpha1.Build{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", Generation: 1}, Spec: v1alpha1.BuildSpec{Source: one, Image: "localhost:5000/apps/a"}}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(b).WithStatusSubresource(b).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, inner client.Client, kind string, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			w.patches++
			return inner.SubResource(kind).Patch(ctx, object, patch, options...)
		},
	}).Build()
	aliases := map[string]string{"localhost:5000": strings.TrimPrefix(images.URL, "http://")}
	w.reconciler = &reconciler{
		client: cluster, credentials: pull.Credentials{Accounts: cluster, Secrets: none{}}, registries: pull.NewRegistries(pull.NewTransport(aliases)),
		aliases: aliases, log: slog.New(slog.DiscardHandler), now: func() time.Time { return w.clock },
	}
	return w
}

type none struct{}

func (none) Secret(context.Context, types.NamespacedName, string) (*corev1.Secret, error) {
	return nil, errors.New("no secret is read here")
}

var key = client.ObjectKey{Namespace: "default", Name: "a"}

// look reconciles, and compares what the condition says.
func (w *world) look(status metav1.ConditionStatus, reason, message string, again bool) *v1alpha1.Build {
	w.Helper()
	result, err := w.Reconcile(w.Context(), ctrl.Request{NamespacedName: key})
	if err != nil {
		w.Fatal(err)
	}
	b := &v1alpha1.Build{}
	if err := w.client.Get(w.Context(), key, b); err != nil {
		w.Fatal(err)
	}
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != status || ready.Reason != reason || !strings.Contains(ready.Message, message) || (result.RequeueAfter > 0) != again {
		w.Errorf("condition %+v, again after %s, want %s %s %q, again %t", ready, result.RequeueAfter, status, reason, message, again)
	}
	return b
}

func (w *world) edit(b *v1alpha1.Build, edit func(*v1alpha1.BuildStatus)) {
	w.Helper()
	before := b.DeepCopy()
	edit(&b.Status)
	if err := w.client.Status().Patch(w.Context(), b, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
	w.patches = 0
}

func TestReconcile(t *testing.T) {
	w := newWorld(t)
	b := w.look(metav1.ConditionUnknown, v1alpha1.ReasonRequested, "An image of main@sha1:1 is needed (SOURCE).", true)
	id := b.Status.Request.ID
	w.clock = w.clock.Add(patience)
	b = w.look(metav1.ConditionUnknown, v1alpha1.ReasonNobodyBuilds, "slipway dev DIR", false)
	w.edit(b, func(s *v1alpha1.BuildStatus) {
		s.Claim = &v1alpha1.BuildClaim{Request: id, By: "somebody", Until: metav1.NewTime(w.clock.Add(time.Minute))}
	})
	b = w.look(metav1.ConditionUnknown, v1alpha1.ReasonBuilding, "somebody builds it", true)
	w.edit(b, func(s *v1alpha1.BuildStatus) { s.Claim.Problem = "fetching the source: no route to host" })
	b = w.look(metav1.ConditionUnknown, v1alpha1.ReasonBuilding, "somebody builds it. It is tried again by itself, since the last try failed: fetching the source: no route to host", true)
	w.edit(b, func(s *v1alpha1.BuildStatus) { s.Claim.Until = metav1.NewTime(w.clock.Add(2 * time.Minute)) })
	w.look(metav1.ConditionUnknown, v1alpha1.ReasonBuilding, "no route to host", true)
	if w.patches != 0 {
		t.Errorf("%d writes since a claim was renewed", w.patches)
	}
	w.clock = w.clock.Add(2 * time.Minute)
	b = w.look(metav1.ConditionUnknown, v1alpha1.ReasonNobodyBuilds, "", false)

	// An answer of a registry that is away is not lost.
	image := "localhost:5000/apps/a@sha256:" + strings.Repeat("2", 64)
	w.status = http.StatusServiceUnavailable
	w.edit(b, func(s *v1alpha1.BuildStatus) {
		s.Answer = &v1alpha1.BuildAnswer{Request: id, By: "somebody", Image: image, Bases: []v1alpha1.BuildBase{{Name: "a", Digest: "sha256:1", Engine: "e"}}}
	})
	w.look(metav1.ConditionUnknown, v1alpha1.ReasonUnreachable, "the registry answers 503", true)
	w.status = http.StatusForbidden
	w.look(metav1.ConditionFalse, v1alpha1.ReasonUnauthorized, "pull secrets", true)
	w.status = http.StatusNotFound
	b = w.look(metav1.ConditionFalse, v1alpha1.ReasonNotPushed, "does not have it. It is looked for again by itself.", true)
	if advice := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady).Message; !strings.Contains(advice, "`slipway reconcile build/a -n default`") {
		t.Errorf("it does not say what to run: %s", advice)
	}
	w.status = http.StatusOK
	b = w.look(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "built from main@sha1:1", false)
	if b.Status.LatestImage != image || b.Status.Builds != 1 || b.Status.LatestReason != v1alpha1.CauseSource || b.Status.Request != nil || b.Status.Answer != nil || len(b.Status.Bases) != 1 || b.Status.Bases[0].Engine != "e" {
		t.Errorf("status %+v", b.Status)
	}

	// Looking again writes nothing, also where it comes from an older object than there is.
	w.patches = 0
	w.look(metav1.ConditionTrue, v1alpha1.ReasonBuilt, "", false)
	if w.patches != 0 {
		t.Errorf("%d writes", w.patches)
	}

	// An answer to a request that is not open any more counts for nothing.
	b.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
	if err := w.client.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	w.edit(b, func(s *v1alpha1.BuildStatus) {
		s.Answer = &v1alpha1.BuildAnswer{Request: id, By: "somebody", Error: "late"}
	})
	b = w.look(metav1.ConditionUnknown, v1alpha1.ReasonRequested, "(MANUAL)", true)
	if b.Status.Answer != nil || b.Status.LatestImage != image || b.Status.LastHandledRequest != "" {
		t.Errorf("status %+v", b.Status)
	}
	w.edit(b, func(s *v1alpha1.BuildStatus) {
		s.Answer = &v1alpha1.BuildAnswer{Request: b.Status.Request.ID, By: "somebody", Error: "go build .:\nmain.go:1:1: no"}
	})
	b = w.look(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "main.go:1:1: no", false)
	if b.Status.LatestImage != image || b.Status.Builds != 1 || b.Status.LastHandledRequest != "now" {
		t.Errorf("status %+v", b.Status)
	}
	w.patches = 0
	w.look(metav1.ConditionFalse, v1alpha1.ReasonBuildFailed, "", false)
	if w.patches != 0 {
		t.Errorf("%d writes", w.patches)
	}
}
