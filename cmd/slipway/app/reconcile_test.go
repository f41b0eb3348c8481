package app_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/cmd/slipway/app"
	"slipway.dev/slipway/internal/wake"
)

func TestReconcile(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t))
	source := wake.Result{Target: wake.Target{Kind: "Source", Namespace: "team", Name: "hello"}, Observed: true, Ready: metav1.ConditionTrue, Revision: "main@sha1:0123456789abcdef0123", Took: 340 * time.Millisecond}
	release := wake.Result{Target: wake.Target{Kind: "Release", Namespace: "team", Name: "hello"}, Observed: true, Ready: metav1.ConditionFalse, Reason: "NotReady", Message: "Deployment team/hello waits"}
	for _, test := range []struct {
		args    string
		results []wake.Result
		code    int
		want    []string
	}{
		{"reconcile hello -n team", []wake.Result{source}, app.ExitFine, []string{"team source/hello  Ready  0.3s  main@0123456789ab"}},
		{"reconcile hello -n team", []wake.Result{source, release}, app.ExitFailed, []string{"team release/hello  Not ready", "NotReady: Deployment team/hello waits"}},
		{"reconcile source/hello -n team --wait=false", []wake.Result{{Target: source.Target}}, app.ExitFine, []string{"team source/hello  Asked"}},
		{"reconcile sources/hello -n team -o json", []wake.Result{source}, app.ExitFine, []string{`"revision": "main@sha1:0123456789abcdef0123"`, `"kind": "Source"`}},
		{"reconcile deployment/hello", nil, app.ExitUsage, []string{"nothing to ask a deployment for", "source, image, release, gitcommit, build"}},
		{"reconcile source/", nil, app.ExitUsage, []string{"has no name"}},
		{"reconcile a b", nil, app.ExitUsage, []string{"takes the name of one workload"}},
		{"reconcile hello --timeout 0s", nil, app.ExitUsage, []string{"--timeout"}},
	} {
		d, out, errOut, _ := testDeps(t)
		asked := false
		d.Reconcile = func(_ context.Context, _ *rest.Config, o *app.ReconcileOptions) ([]wake.Result, error) {
			asked = true
			if wait := !strings.Contains(test.args, "--wait=false"); o.Wait != wait || o.Namespace != "team" || o.Timeout != time.Minute {
				t.Errorf("%s: %+v", test.args, o)
			}
			return test.results, nil
		}
		code := app.RunWith(t.Context(), d, strings.Fields(test.args))
		if code != test.code || asked != (test.results != nil) {
			t.Errorf("%s: exit code %d, want %d; asked %v", test.args, code, test.code, asked)
		}
		for _, word := range test.want {
			if said := out.String() + errOut.String(); !strings.Contains(said, word) {
				t.Errorf("%s does not say %q:\n%s", test.args, word, said)
			}
		}
	}
}

// TestReconcileOfSome: when one cannot be asked, what the others say is printed all the same.
func TestReconcileOfSome(t *testing.T) {
	t.Setenv("KUBECONFIG", kubeconfig(t))
	d, out, errOut, _ := testDeps(t)
	d.Reconcile = func(context.Context, *rest.Config, *app.ReconcileOptions) ([]wake.Result, error) {
		source := wake.Target{Kind: "Source", Namespace: "team", Name: "hello"}
		return []wake.Result{{Target: source, Observed: true, Ready: metav1.ConditionTrue, Revision: "main"}}, errors.New("asking release/hello: it is gone")
	}
	code := app.RunWith(t.Context(), d, []string{"reconcile", "hello", "-n", "team"})
	if code != app.ExitFailed || !strings.Contains(out.String(), "team source/hello  Ready") || !strings.Contains(errOut.String(), "it is gone") {
		t.Errorf("exit code %d, said:\n%s%s", code, out, errOut)
	}
}
