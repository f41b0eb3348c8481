package dev

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

func TestLookAround(t *testing.T) {
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "slipway-system", Name: "slipway-environment"}, Data: map[string]string{"name": "x", "cluster": "u1", "ingressHTTP": "8082"}}
	older := settings.DeepCopy()
	delete(older.Data, "cluster")
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "u1"}}
	other := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kube-system", UID: "u2"}}
	hosting := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-public", Name: "local-registry-hosting"},
		Data: map[string]string{"localRegistryHosting.v1": "host: \"localhost:5001\"\nhelp: x\n"}}
	unsaid := hosting.DeepCopy()
	unsaid.Data = map[string]string{"localRegistryHosting.v1": "help: x"}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{OperatingSystem: "linux", Architecture: "arm64"}}}
	tests := []struct {
		name    string
		objects []runtime.Object
		wants   []string
	}{
		{"an environment", []runtime.Object{system, settings, hosting, node}, nil},
		{"some cluster", []runtime.Object{hosting, node}, []string{"not a slipway environment", "slipway up --name x"}},
		{"a copied ConfigMap", []runtime.Object{other, settings, hosting, node}, []string{"not a slipway environment", "of another cluster", "u1", "u2", "slipway up --name x"}},
		{"an older slipway's", []runtime.Object{system, older, hosting, node}, []string{"older slipway", "slipway up --name x"}},
		{"no registry", []runtime.Object{system, settings, node}, []string{"registry", "slipway up --name x"}},
		{"a registry unsaid", []runtime.Object{system, settings, unsaid, node}, []string{"local-registry-hosting"}},
		{"no node", []runtime.Object{system, settings, hosting}, []string{"no node"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := lookAround(t.Context(), fake.NewClientset(test.objects...), "slipway up --name x")
			if test.wants != nil {
				says(t, err, test.wants...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &surroundings{name: "x", cluster: "u1", registry: "localhost:5001", ingressPort: "8082", platform: v1.Platform{OS: "linux", Architecture: "arm64"}}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(surroundings{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
