package gitcommit

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// TestTooLargeIsFetchedOnce: the event that the status itself is asks nobody; a request, other files and the end of the hour do.
func TestTooLargeIsFetchedOnce(t *testing.T) {
	var asked atomic.Int32
	git := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(git.Close)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	since := time.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		after  time.Duration
		change func(*v1alpha1.GitCommit)
		left   time.Duration // 0: the server is asked
	}{
		"at once":     {left: time.Hour},
		"later":       {after: 50 * time.Minute, left: 10 * time.Minute},
		"over":        {after: time.Hour},
		"other files": {change: func(c *v1alpha1.GitCommit) { c.Generation++ }},
		"request":     {change: func(c *v1alpha1.GitCommit) { c.Annotations[v1alpha1.AnnotationRequestedAt] = "two" }},
		"made anew":   {change: func(c *v1alpha1.GitCommit) { c.UID = "2" }},
	} {
		t.Run(name, func(t *testing.T) {
			commit := &v1alpha1.GitCommit{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "app", Generation: 1, Annotations: map[string]string{v1alpha1.AnnotationRequestedAt: "one"}},
				Spec:       v1alpha1.GitCommitSpec{Files: map[string]string{"a": "b"}, Git: v1alpha1.GitTarget{Repository: git.URL + "/app.git"}},
				Status: v1alpha1.GitCommitStatus{ObservedGeneration: 1, LastHandledRequest: "one", Conditions: []metav1.Condition{
					{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonTooLarge, ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(since)}}},
			}
			var remembered refusals
			remembered.keep(commit, failed(v1alpha1.ReasonUnreachable, ""), since.Add(-time.Minute))
			if left := remembered.left(commit, since); left > 0 {
				t.Errorf("a server that is away is not asked for %v", left)
			}
			remembered.keep(commit, failed(v1alpha1.ReasonTooLarge, ""), since)
			if test.change != nil {
				test.change(commit)
			}
			cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(commit).WithStatusSubresource(commit).Build()
			r := newReconciler(cluster, cluster, Options{})
			r.refusals.of = remembered.of
			r.now = func() time.Time { return since.Add(test.after) }
			before := asked.Load()
			result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(commit)})
			if err != nil {
				t.Fatal(err)
			}
			if is := asked.Load() > before; is != (test.left == 0) {
				t.Errorf("the server was asked: %v", is)
			}
			if test.left > 0 && result.RequeueAfter != test.left {
				t.Errorf("it is looked at again after %v, want %v", result.RequeueAfter, test.left)
			}
		})
	}
}
