package profiles_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	carto "slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/realize"
	"slipway.dev/slipway/internal/supplychain/template"
	"slipway.dev/slipway/profiles"
)

const appImage = "localhost:5000/apps/web@sha256:1111111111111111111111111111111111111111111111111111111111111111"

// deployment renders the Deployment that a chain of profile basic stamps for a workload.
func deployment(t *testing.T, chainName, templateName string, workload *carto.Workload) *appsv1.Deployment {
	t.Helper()
	profile, err := profiles.Get("basic")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := profile.ObjectsFor(profiles.Settings{SlipwaydImage: "localhost:5000/slipway/slipwayd@sha256:2"})
	if err != nil {
		t.Fatal(err)
	}
	var chain carto.ClusterSupplyChain
	var chosen carto.ClusterTemplate
	for _, object := range objects {
		switch object.GetKind() + "/" + object.GetName() {
		case "ClusterSupplyChain/" + chainName:
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &chain)
		case "ClusterTemplate/" + templateName:
			err = runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &chosen)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	from, err := realize.TemplateOf(&chosen)
	if err != nil {
		t.Fatal(err)
	}
	object, err := realize.One{
		Workload: workload, Chain: &chain, Resource: "deployment", Template: from,
		Before: map[string]map[string]any{"image-provider": {"image": appImage}},
	}.Render(t.Context(), template.NewRenderer())
	if err != nil {
		t.Fatal(err)
	}
	var rendered appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &rendered, true); err != nil {
		t.Fatal(err)
	}
	return &rendered
}

func web(params ...carto.OwnerParam) *carto.Workload {
	return &carto.Workload{
		TypeMeta:   metav1.TypeMeta{APIVersion: carto.GroupVersion.String(), Kind: carto.KindWorkload},
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default", Labels: map[string]string{"apps.tanzu.vmware.com/workload-type": "web"}},
		Spec: carto.WorkloadSpec{
			Params: params,
			Env:    []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
		},
	}
}

func param(name, value string) carto.OwnerParam {
	return carto.OwnerParam{Name: name, Value: apiextensionsv1.JSON{Raw: []byte(value)}}
}

// TestSupervisedDeployment compares the Deployment of the fast lane with the one of production: but for the supervisor
// they are the same.
func TestSupervisedDeployment(t *testing.T) {
	sync := param("sync", `{"command":["/app/web","$(HOME)"],"folders":["/app/data"],"token":"secret"}`)
	for _, chain := range []string{"basic-image-to-url", "basic-image-to-url-app"} {
		plain := deployment(t, chain, "app-deployment", web(param("port", "9000")))
		got := deployment(t, chain, "app-deployment-synced", web(param("port", "9000"), sync))
		pod := &got.Spec.Template
		if len(pod.Spec.InitContainers) != 2 || pod.Spec.InitContainers[1].Image != appImage {
			t.Fatalf("init containers = %+v, want one that installs, and one of the app's image that seeds", pod.Spec.InitContainers)
		}
		container := &pod.Spec.Containers[0]
		want := []string{"/slipway/slipway-init", "run", "--dir=/slipway", "--port=9000", "--folder=/app/data", "--", "/app/web", "$$(HOME)"}
		if command := append(container.Command, container.Args...); !cmp.Equal(command, want) {
			t.Errorf("command = %q, want %q", command, want)
		}
		if last := container.Env[len(container.Env)-1]; last.Name != "SLIPWAY_SYNC_TOKEN" || last.Value != "secret" {
			t.Errorf("the last variable is %+v, want the token", last)
		}
		mounts := []corev1.VolumeMount{{Name: "slipway", MountPath: "/slipway"}, {Name: "slipway", MountPath: "/app/data", SubPath: "files/app/data"}}
		if diff := cmp.Diff(mounts, container.VolumeMounts); diff != "" {
			t.Error(diff)
		}
		container.Env = container.Env[:len(container.Env)-1]
		container.Command, container.Args, container.VolumeMounts = nil, nil, nil
		pod.Annotations, pod.Spec.InitContainers, pod.Spec.Volumes = nil, nil, nil
		got.Labels["carto.run/cluster-template-name"] = plain.Labels["carto.run/cluster-template-name"]
		if diff := cmp.Diff(plain, got); diff != "" {
			t.Errorf("with the supervisor more is different than the supervisor (-without +with):\n%s", diff)
		}
	}
}

func TestSupervisedDeploymentOfTheProgramAlone(t *testing.T) {
	workload := web(param("sync", `{"command":["web"],"folders":[],"token":"secret"}`))
	workload.Spec.Env = nil
	pod := deployment(t, "basic-image-to-url", "app-deployment-synced", workload).Spec.Template.Spec
	if len(pod.InitContainers) != 1 || len(pod.Containers[0].Env) != 1 || len(pod.Containers[0].VolumeMounts) != 1 {
		t.Errorf("pod = %+v, want nothing that is only for files", pod)
	}
}

// Without the param nothing of the fast lane is in a pod.
func TestPlainDeploymentHasNoSupervisor(t *testing.T) {
	pod := deployment(t, "basic-image-to-url", "app-deployment", web()).Spec.Template
	text, err := pod.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "slipway") {
		t.Errorf("pod = %+v, want no trace of slipway's own", pod)
	}
}
