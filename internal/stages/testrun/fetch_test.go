package testrun

import (
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apiversion "k8s.io/apimachinery/pkg/version"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

func TestFetchInPlace(t *testing.T) {
	limited := func(memory string) func(*v1alpha1.TestRun) {
		return func(r *v1alpha1.TestRun) {
			r.Spec.Definition.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}
		}
	}
	url := newRun(nil).Spec.Source.URL
	tests := []struct {
		name    string
		change  func(*v1alpha1.TestRun)
		inPlace bool
		before  int // containers
		command []string
	}{
		{"an older cluster", nil, false, 1, []string{"go", "test", "./..."}},
		{"in place", nil, true, 0, []string{"/slipway/slipwayd", "fetch", url, "/workspace", "--", "go", "test", "./..."}},
		{"below, with a digest", func(r *v1alpha1.TestRun) { r.Spec.Source.SubPath, r.Spec.Source.Digest = "a/b/", digest }, true, 0,
			[]string{"/slipway/slipwayd", "fetch", "--digest=" + digest, url, "/workspace", "--in=a/b", "--", "go", "test", "./..."}},
		{"little memory", limited("32Mi"), true, 1, []string{"go", "test", "./..."}},
		{"enough memory", limited("128Mi"), true, 0, []string{"/slipway/slipwayd", "fetch", url, "/workspace", "--", "go", "test", "./..."}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pod := newPod(newRun(test.change), means{image: "slipwayd@" + digest, inPlace: test.inPlace})
			if len(pod.InitContainers) != test.before || !slices.Equal(pod.Containers[0].Command, test.command) {
				t.Errorf("%d containers before, and the command %q", len(pod.InitContainers), pod.Containers[0].Command)
			}
			mounted := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Image != nil && v.Image.Reference == "slipwayd@"+digest })
			if mounted != (test.before == 0) {
				t.Errorf("volumes %+v", pod.Volumes)
			}
		})
	}
}

// versions answers as an API server does, one after the other.
type versions struct {
	say   []string // "" is no answer
	asked int
}

func (v *versions) ServerVersion() (*apiversion.Info, error) {
	v.asked++
	if said := v.say[v.asked-1]; said != "" {
		return &apiversion.Info{GitVersion: said}, nil
	}
	return nil, errors.New("connection refused")
}

func TestMountsImages(t *testing.T) {
	for said, want := range map[string]bool{"v1.35.9": false, "v1.36.0": true, "v1.36.3+k3s1": true, "v1.40.0-alpha.1": true, "v2.0.0": true} {
		api := &versions{say: []string{"", said}}
		s := &server{api: api}
		if _, err := s.mountsImages(t.Context()); err == nil {
			t.Error("no answer is an answer")
		}
		for range 2 {
			if can, err := s.mountsImages(t.Context()); err != nil || can != want {
				t.Errorf("%s: %t, %v; want %t", said, can, err, want)
			}
		}
		if api.asked != 2 {
			t.Errorf("the API server was asked %d times, want once after the outage", api.asked)
		}
	}
}
