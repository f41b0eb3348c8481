package source

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// ask sets a request at the Source, as `slipway reconcile` does.
func (w *world) ask(request string) {
	w.Helper()
	source := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), client.ObjectKey{Namespace: "default", Name: "demo"}, source); err != nil {
		w.Fatal(err)
	}
	source.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: request}
	if err := w.client.Update(w.Context(), source); err != nil {
		w.Fatal(err)
	}
}

// TestTooLargeIsFetchedOnce: the event that the status itself is fetches nothing; another commit and a request do.
func TestTooLargeIsFetchedOnce(t *testing.T) {
	w := newWorld(t, fromGit(nil))
	fetches := 0
	inner := w.git.Config.Handler
	w.git.Config.Handler = http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			fetches++
		}
		inner.ServeHTTP(response, request)
	})
	look := func(words string, want int) ctrl.Result {
		t.Helper()
		before := fetches
		source, result := w.reconcile()
		w.want(source, metav1.ConditionFalse, v1alpha1.ReasonTooLarge, words)
		if fetched := fetches - before; fetched != want {
			t.Errorf("%d fetches, want %d", fetched, want)
		}
		if result.RequeueAfter <= DefaultInterval || result.RequeueAfter > largeAgain {
			t.Errorf("it is looked at again after %v", result.RequeueAfter)
		}
		return result
	}
	dir := w.repo("app")
	w.commit(dir, map[string]string{"noise": noise(1, 700<<10)})
	w.limits.fetch.Packed = 512 << 10
	look("too large to be fetched", 1)
	look("too large to be fetched", 0)
	w.ask("one")
	look("too large to be fetched", 1)
	look("too large to be fetched", 0)
	// One that can be fetched, and not unpacked.
	w.limits.fetch.Packed, w.limits.files = 2<<20, 512<<10
	w.commit(dir, map[string]string{"other": "x"})
	look("The files of the source are larger", 1)
	look("The files of the source are larger", 0)
	w.limits.files = 2 << 20
	w.commit(dir, nil)
	source, _ := w.reconcile()
	w.want(source, metav1.ConditionTrue, v1alpha1.ReasonStored, "")
}

func TestRefusalsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen refusals
		source := fromGit(nil)
		seen.keep(source, "a", failed(v1alpha1.ReasonUnreachable, "away"))
		if err := seen.check(source, "a"); err != nil {
			t.Errorf("what is no matter of size was kept: %v", err)
		}
		problem := tooLarge("large")
		seen.keep(source, "a", problem)
		time.Sleep(largeAgain - time.Minute)
		if err := seen.check(source, "a"); err != error(problem) {
			t.Errorf("a minute before the hour is over: %v", err)
		}
		if left := seen.left(source); left != time.Minute {
			t.Errorf("a minute before the hour is over %v are left", left)
		}
		if err := seen.check(source, "b"); err != nil {
			t.Errorf("another revision: %v", err)
		}
		changed := source.DeepCopy()
		changed.Generation++
		if err := seen.check(changed, "a"); err != nil {
			t.Errorf("another spec: %v", err)
		}
		time.Sleep(time.Minute)
		if err := seen.check(source, "a"); err != nil {
			t.Errorf("after an hour: %v", err)
		}
	})
}
