package bootstrap

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/profiles"
)

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	content, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{}
	if err := read.UnmarshalJSON(content); err != nil { // as the API server's answers are read
		t.Fatal(err)
	}
	return read
}

func TestTheirs(t *testing.T) {
	const ours = "{manager: slipway, operation: Apply, fieldsV1: {'f:spec': {'f:ytt': {}}}}"
	const theirManager = "{manager: kubectl-edit, operation: Update, fieldsV1: {'f:spec': {'f:ytt': {}}}}"
	const controllers = "{manager: slipway-controller, operation: Update, subresource: status, fieldsV1: {'f:status': {}}}"
	const labels = "{manager: kubectl-label, operation: Update, fieldsV1: {'f:metadata': {}}}"
	tests := []struct {
		name     string
		spec     string // of what is in the cluster
		marked   bool   // as having been given the very spec that is wanted
		managers string
		want     bool
	}{
		{"as it was given", "{ytt: profile, params: [{name: a, default: 8080}]}", true, ours, false},
		{"with a default of the API server's", "{ytt: profile, params: [{name: a, default: 8080}], lifecycle: mutable}", true, ours, false},
		{"with something more of somebody's", "{ytt: profile, params: [{name: a, default: 8080}], suspend: true}", true, ours + ", {manager: kubectl-patch, operation: Update, fieldsV1: {'f:spec': {'f:suspend': {}}}}", false},
		{"edited", "{ytt: mine, params: [{name: a, default: 8080}]}", true, theirManager, true},
		{"something taken away, of which no manager tells", "{ytt: profile}", true, ours, true},
		{"another length of a list", "{ytt: profile, params: []}", true, ours, true},
		{"of an older slipway", "{ytt: older}", false, ours + ", " + controllers + ", " + labels, false},
		{"of an older slipway, and edited", "{ytt: mine}", false, theirManager, true},
		{"replaced by one that has no such field", "{template: {}}", false, "{manager: kubectl-replace, operation: Update, fieldsV1: {'f:spec': {'f:template': {}}}}", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			decoded, err := kube.Decode([]byte("apiVersion: carto.run/v1alpha1\nkind: ClusterConfigTemplate\nmetadata: {name: a}\nspec: {ytt: profile, params: [{name: a, default: 8080}]}"))
			if err != nil {
				t.Fatal(err)
			}
			wanted := decoded[0]
			if err := mark(wanted); err != nil {
				t.Fatal(err)
			}
			live := object(t, "{apiVersion: carto.run/v1alpha1, kind: ClusterConfigTemplate, metadata: {name: a, managedFields: ["+test.managers+"]}, spec: "+test.spec+"}")
			if test.marked {
				live.SetAnnotations(wanted.GetAnnotations())
			}
			if got := theirs(live, wanted); got != test.want {
				t.Errorf("theirs = %t, want %t (others: %v)", got, test.want, others(live))
			}
		})
	}
}

// chainsOf is a cluster with the supply chains and deliveries of profile testing, as `up` puts them in an environment whose
// registry is on another port than most, all Ready; edit may change each.
func chainsOf(t *testing.T, edit func(*unstructured.Unstructured)) (*kube.Client, profiles.Profile) {
	t.Helper()
	profile, err := profiles.Get("testing")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := profile.ObjectsFor(profiles.Settings{RegistryPort: 5001, GitServer: environment.Name("other").GitInCluster()})
	if err != nil {
		t.Fatal(err)
	}
	objects = slices.DeleteFunc(objects, func(o *unstructured.Unstructured) bool {
		return o.GetKind() != "ClusterSupplyChain" && o.GetKind() != "ClusterDelivery"
	})
	var live []runtime.Object
	for _, wanted := range objects {
		if err := mark(wanted); err != nil {
			t.Fatal(err)
		}
		one := wanted.DeepCopy()
		one.SetLabels(map[string]string{labelManagedBy: managedBy})
		one.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "reason": "Ready"}}}
		edit(one)
		live = append(live, one)
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		supplyChains: "ClusterSupplyChainList", deliveries: "ClusterDeliveryList",
	}, live...)
	return &kube.Client{Dynamic: client}, profile
}

// spoil makes a chain not Ready, and if somebody has changed it, by that.
func spoil(chain *unstructured.Unstructured, edited bool) {
	if edited {
		chain.Object["spec"] = map[string]any{"selector": map[string]any{"app": "mine"}, "resources": []any{}}
	}
	chain.Object["status"] = map[string]any{"conditions": []any{
		map[string]any{"type": "Ready", "status": "False", "reason": "TemplatesNotFound", "message": "no template mine"},
	}}
}

// TestAwaitWhatWasLeft : `up` does not wait for a changed chain to become Ready, which nothing of what it does brings
// about, and still waits for its own.
func TestAwaitWhatWasLeft(t *testing.T) {
	for name, test := range map[string]struct {
		edited, unseen bool
		want           string // in the error; "" is none
	}{
		"a changed one":                         {edited: true},
		"one that the controller has not seen":  {edited: true, unseen: true, want: "the controller has not looked at it yet"},
		"one of the profile's own is not Ready": {want: "TemplatesNotFound no template mine"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				spoiled := item{APIVersion: "carto.run/v1alpha1", Kind: "ClusterSupplyChain", Name: "testing-image-to-url"}
				client, profile := chainsOf(t, func(chain *unstructured.Unstructured) {
					if itemOf(chain) == spoiled {
						spoil(chain, test.edited)
						if test.unseen {
							delete(chain.Object, "status")
						}
					}
				})
				u := &up{UpOptions: UpOptions{Name: "other"}, profile: profile, client: client}
				if test.edited {
					u.left = map[item]bool{spoiled: true}
				}
				result, err := u.awaitBlueprints(ctx, (&ui.Recorder{}).Start("ready", "Supply chains ready"))
				if test.want != "" {
					if err == nil || !strings.Contains(err.Error(), "testing-image-to-url: "+test.want) {
						t.Errorf("it ended with %v", err)
					}
					return
				}
				if err != nil || !strings.Contains(result.detail, "changed here and not Ready: 1") {
					t.Errorf("%+v %v", result, err)
				}
				want := "supply chain testing-image-to-url was changed here and is not Ready (TemplatesNotFound no template mine): put that right, or " +
					"`kubectl delete clustersupplychain testing-image-to-url` and `slipway up --name other` bring the profile's own back"
				if notes := u.notes.all(); !slices.Equal(notes, []string{want}) {
					t.Errorf("notes %q", notes)
				}
			})
		})
	}
}

// TestStatusOfWhatWasLeft : status says that `up` repairs exactly what `up` would not leave as it is.
func TestStatusOfWhatWasLeft(t *testing.T) {
	for name, edited := range map[string]bool{"changed here": true, "as up has put it in": false} {
		t.Run(name, func(t *testing.T) {
			client, profile := chainsOf(t, func(chain *unstructured.Unstructured) {
				if chain.GetKind() == "ClusterSupplyChain" && chain.GetName() != "image-to-url" {
					spoil(chain, edited) // some have the environment's names in them
				}
			})
			s := &Status{Name: "other", registryPort: 5001, Cluster: ClusterStatus{Ready: true}, Registry: RegistryStatus{Ready: true}}
			if err := s.readSupplyChains(t.Context(), client, profile); err != nil {
				t.Fatal(err)
			}
			s.judge()
			if s.Ready || s.Repairable() == edited {
				t.Errorf("ready %t, repairable %t: %+v", s.Ready, s.Repairable(), s.Components)
			}
			const advice = "it was changed here: `kubectl delete clustersupplychain testing-image-to-url` and `slipway up --name other` bring"
			told := slices.ContainsFunc(s.Components, func(one Component) bool { return strings.Contains(one.Detail, advice) })
			if told != edited {
				t.Errorf("%+v", s.Components)
			}
		})
	}
}
