package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// buildTools builds what a user pushes and points with: crane of the version that slipway has as a library, and kubectl of
// the node's version. Neither is taken from the machine, so that every machine compares with the same.
func (l *loop) buildTools(ctx context.Context) error {
	l.kubectl, l.crane = filepath.Join(l.work, "kubectl"), filepath.Join(l.work, "crane")
	kubernetes := filepath.Join(l.root, "scripts", "images", "node", "kubernetes")
	if _, err := l.run(ctx, "go", "build", "-C", kubernetes, "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", l.kubectl, "k8s.io/kubernetes/cmd/kubectl"); err != nil {
		return err
	}
	_, err := l.run(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", l.crane, "github.com/google/go-containerregistry/cmd/crane")
	return err
}

// hand does by hand what `dev` does, with the programs that there are for it: the same `go build` with a warm cache, a
// push of the same layers, of which the registry has all but the changed one, and `kubectl set image`; then it waits.
func (l *loop) hand(ctx context.Context, version string) (time.Duration, error) {
	before, err := l.imageOf(ctx, "by-hand")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := l.edit(l.byHand, version); err != nil {
		return 0, err
	}
	ref, err := l.pushByHand(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := l.run(ctx, l.kubectl, "--context", "kind-"+environmentName, "set", "image", "deployment/by-hand", "workload="+ref); err != nil {
		return 0, err
	}
	ready, err := l.awaitPod(ctx, "by-hand", before)
	return ready.Sub(start), err
}

// pushByHand builds the copy that is kept by hand, and pushes it as an OCI layout.
func (l *loop) pushByHand(ctx context.Context) (string, error) {
	image, err := l.build(ctx)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(l.work, "layout")
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	to, err := layout.Write(folder, empty.Index)
	if err != nil {
		return "", err
	}
	if err := to.AppendImage(image); err != nil {
		return "", err
	}
	repository := l.registry + "/bench/by-hand"
	if _, err := l.run(ctx, l.crane, "push", folder, repository); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return repository + "@" + digest.String(), err
}

// deployByHand makes the Deployment that is kept by hand, the chain's own under another name, and the programs for it.
func (l *loop) deployByHand(ctx context.Context) error {
	if err := l.buildTools(ctx); err != nil {
		return err
	}
	ref, err := l.pushByHand(ctx)
	if err != nil {
		return err
	}
	chains, err := l.client.AppsV1().Deployments("default").Get(ctx, "hello", metav1.GetOptions{})
	if err != nil {
		return err
	}
	labels := map[string]string{"app.kubernetes.io/name": "by-hand"}
	template := *chains.Spec.Template.DeepCopy()
	template.Labels = labels
	template.Spec.Containers[0].Image = ref
	_, err = l.client.AppsV1().Deployments("default").Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "by-hand"},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: template, Strategy: chains.Spec.Strategy},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = l.awaitPod(ctx, "by-hand", "")
	return err
}
