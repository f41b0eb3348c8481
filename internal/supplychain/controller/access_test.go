package controller

import (
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestMayWatch : both verbs count, a refusal is asked about again after a while, and what was allowed is not until the API
// server refuses it for longer than it takes to start.
func TestMayWatch(t *testing.T) {
	var asked []string
	allowed, broken := map[string]bool{"list": true}, error(nil)
	clients := fake.NewClientset()
	clients.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview).DeepCopy()
		attributes := review.Spec.ResourceAttributes
		asked = append(asked, attributes.Verb+" "+attributes.Resource+"."+attributes.Group+attributes.Namespace)
		review.Status.Allowed = allowed[attributes.Verb]
		return true, review, broken
	})
	now := time.Unix(0, 0)
	a := newAccess(clients.AuthorizationV1().SelfSubjectAccessReviews(), slog.New(slog.DiscardHandler))
	a.now = func() time.Time { return now }
	widgets := schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "widgets"}
	ask := func(want bool, questions ...string) {
		t.Helper()
		asked = nil
		got, err := a.mayWatch(t.Context(), widgets)
		if err != nil || got != want || a.refuses(widgets) == want {
			t.Errorf("mayWatch = %t, %v; want %t; refuses = %t", got, err, want, a.refuses(widgets))
		}
		if diff := cmp.Diff(questions, asked); diff != "" {
			t.Errorf("questions (-want +got):\n%s", diff)
		}
	}
	if broken = errors.New("away"); a.refuses(widgets) {
		t.Error("a kind that was never asked about is refused")
	}
	if _, err := a.mayWatch(t.Context(), widgets); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	broken = nil
	ask(false, "list widgets.example.com", "watch widgets.example.com")
	ask(false)
	now = now.Add(askAgain)
	allowed["watch"] = true
	ask(true, "list widgets.example.com", "watch widgets.example.com")
	now, allowed = now.Add(time.Hour), nil
	ask(true)
	told := 0
	whenRefused := a.whenRefused(widgets, func() { told++ })
	whenRefused(t.Context(), nil, io.EOF)
	ask(true)
	refuse := func() { whenRefused(t.Context(), nil, apierrors.NewForbidden(widgets.GroupResource(), "", nil)) }
	for range 3 { // an API server that starts, several times
		refuse()
		now = now.Add(startLimit - time.Second)
		refuse()
		ask(true)
		now = now.Add(forget + time.Second)
	}
	refuse()
	now = now.Add(startLimit - time.Second)
	whenRefused(t.Context(), nil, io.EOF) // it was allowed in between
	now = now.Add(time.Second)
	refuse()
	ask(true)
	if told != 0 {
		t.Errorf("it was told %d times that the watch was refused by an API server that starts", told)
	}
	now = now.Add(startLimit)
	refuse()
	ask(false)
	now, allowed = now.Add(askAgain), map[string]bool{"list": true, "watch": true}
	ask(true, "list widgets.example.com", "watch widgets.example.com")
	if told != 1 {
		t.Errorf("it was told %d times that the watch was refused", told)
	}
}

func TestAttention(t *testing.T) {
	object := func(kind string) *unstructured.Unstructured {
		made := &unstructured.Unstructured{Object: map[string]any{}}
		made.SetLabels(map[string]string{v1alpha1.LabelTemplateKind: kind})
		return made
	}
	secret, output := attentionFor(object(v1alpha1.KindClusterTemplate)), attentionFor(object(v1alpha1.KindClusterImageTemplate))
	for name, test := range map[string]struct {
		attention attention
		ready     bool
		from, to  time.Duration
	}{
		"watched":          {watched, false, 0, 0},
		"ready":            {secret, true, lookLate * 3 / 4, lookLate},
		"not ready":        {secret, false, lookSoon, lookSoon},
		"gives out":        {output, true, lookSoon, lookSoon},
		"the most of both": {max(secret, output), true, lookSoon, lookSoon},
	} {
		if got := test.attention.again(test.ready).RequeueAfter; got < test.from || got > test.to {
			t.Errorf("%s: again after %v, want %v to %v", name, got, test.from, test.to)
		}
	}
}

// TestAttentionBeforeRefusal : what is awaited is not seen later because a role is missing for something else.
func TestAttentionBeforeRefusal(t *testing.T) {
	for name, test := range map[string]struct {
		attention attention
		pause     time.Duration
		want      time.Duration
	}{
		"nothing is awaited":   {watched, afterRefusals, afterRefusals},
		"something, soon":      {soon, afterRefusals, lookSoon},
		"the refusal is first": {soon, time.Second, time.Second},
	} {
		if got := test.attention.before(test.pause, false).RequeueAfter; got != test.want {
			t.Errorf("%s: again after %v, want %v", name, got, test.want)
		}
	}
}
