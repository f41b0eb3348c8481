package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

const (
	certManagerName      = "cert-manager" // release, namespace and chart
	certManagerNamespace = "cert-manager"
)

// certManagerVersion is the chart's, and so the images' tag.
const certManagerVersion = "v1.21.2"

var certManagerDeployments = []string{"cert-manager", "cert-manager-cainjector", "cert-manager-webhook"}

var (
	certificates = schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}
	secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// certManagerImages are the images that the chart asks for.
func certManagerImages() []string {
	var images []string
	for _, program := range []string{"controller", "cainjector", "webhook"} {
		images = append(images, "quay.io/jetstack/cert-manager-"+program+":"+certManagerVersion)
	}
	return images
}

// certManagerValues differ from the chart's own in what a laptop needs: the kinds come and go with the chart, no job
// checks the API afterwards, since `up` proves it by using it, and the webhook is asked every second whether it is ready,
// at once, instead of every five seconds after five.
func certManagerValues() map[string]any {
	requests := map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "32Mi"}}
	return map[string]any{
		"crds":            map[string]any{"enabled": true, "keep": false},
		"startupapicheck": map[string]any{"enabled": false},
		"global":          map[string]any{"leaderElection": map[string]any{"namespace": certManagerNamespace}},
		"resources":       requests,
		"cainjector":      map[string]any{"resources": requests},
		"webhook": map[string]any{
			"resources":      requests,
			"readinessProbe": map[string]any{"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 30},
		},
	}
}

// ensureCertManager installs cert-manager with its own chart, or mends it, and proves that it issues certificates.
func (u *up) ensureCertManager(ctx context.Context, task ui.Task) (outcome, error) {
	chartFiles, err := certManagerChart()
	if err != nil {
		return outcome{}, err
	}
	helm, err := u.helm()
	if err != nil {
		return outcome{}, err
	}
	changed, err := u.installChart(ctx, helm, chartFiles, task)
	if err != nil {
		return outcome{}, err
	}
	for _, name := range certManagerDeployments {
		waited, err := u.awaitDeployment(ctx, task, certManagerNamespace, name)
		if err != nil {
			return outcome{}, err
		}
		changed = changed || waited
	}
	detail := certManagerVersion
	if changed || u.restarted {
		task.Update("issuing a certificate, to see that it works")
		err = u.proveCertManager(ctx, task)
		detail += ", issues certificates"
	}
	return outcome{changed: changed, detail: detail}, err
}

func (u *up) helm() (*action.Configuration, error) {
	configuration := &action.Configuration{}
	log := func(format string, arguments ...any) { u.Log.Debug("helm: " + fmt.Sprintf(format, arguments...)) }
	if err := configuration.Init(newRESTClientGetter(u.client.Config, certManagerNamespace), certManagerNamespace, "secret", log); err != nil {
		return nil, fmt.Errorf("preparing Helm: %w", err)
	}
	return configuration, nil
}

// installChart makes the release so: installed, upgraded when its chart is another, repaired when one of its
// Deployments is gone, and installed anew when an earlier run died in the middle of it.
func (u *up) installChart(ctx context.Context, helm *action.Configuration, chartFiles *chart.Chart, task ui.Task) (bool, error) {
	last, err := helm.Releases.Last(certManagerName)
	switch {
	case errors.Is(err, driver.ErrReleaseNotFound):
	case err != nil:
		return false, fmt.Errorf("looking for the release %s: %w", certManagerName, err)
	case last.Info.Status != release.StatusDeployed:
		task.Update("removing a half-made installation")
		if err := uninstall(helm); err != nil {
			return false, err
		}
	default:
		complete, err := u.certManagerComplete(ctx)
		if err != nil || (complete && last.Chart.Metadata.Version == chartFiles.Metadata.Version) {
			return false, err
		}
		task.Update("repairing")
		upgrade := action.NewUpgrade(helm)
		upgrade.Namespace = certManagerNamespace
		upgrade.MaxHistory = 2
		if _, err := upgrade.RunWithContext(ctx, certManagerName, chartFiles, certManagerValues()); err != nil {
			return false, fmt.Errorf("upgrading %s: %w", certManagerName, err)
		}
		return true, nil
	}
	if err := u.awaitNamespaceGone(ctx, task); err != nil {
		return false, err
	}
	task.Update("installing")
	install := action.NewInstall(helm)
	install.ReleaseName, install.Namespace, install.CreateNamespace = certManagerName, certManagerNamespace, true
	install.DisableOpenAPIValidation = true // the API server validates; fetching its whole schema takes a second
	if _, err := install.RunWithContext(ctx, chartFiles, certManagerValues()); err != nil {
		return false, fmt.Errorf("installing %s: %w", certManagerName, err)
	}
	return true, nil
}

// awaitNamespaceGone waits while cert-manager's namespace is on its way out, after a profile without it: nothing can be
// put in until it is gone.
func (u *up) awaitNamespaceGone(ctx context.Context, task ui.Task) error {
	say := func(saw string) { task.Update("%s", saw) }
	return kube.Wait(ctx, "the old namespace "+certManagerNamespace+" to go", say, func(ctx context.Context) (bool, string, error) {
		found, err := u.client.Dynamic.Resource(namespaces).Get(ctx, certManagerNamespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		if err != nil {
			return false, "", err
		}
		return found.GetDeletionTimestamp() == nil, "waiting until the old namespace is gone", nil
	})
}

func (u *up) certManagerComplete(ctx context.Context) (bool, error) {
	found, err := u.client.Dynamic.Resource(deployments).Namespace(certManagerNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("looking at %s: %w", certManagerName, err)
	}
	have := map[string]bool{}
	for _, deployment := range found.Items {
		have[deployment.GetName()] = true
	}
	for _, name := range certManagerDeployments {
		if !have[name] {
			return false, nil
		}
	}
	return true, nil
}

func uninstall(helm *action.Configuration) error {
	remove := action.NewUninstall(helm)
	remove.IgnoreNotFound = true
	remove.DisableHooks = true
	if _, err := remove.Run(certManagerName); err != nil {
		return fmt.Errorf("removing %s: %w", certManagerName, err)
	}
	return nil
}

// removeCertManager takes cert-manager out of an environment whose profile has it no more; 1 when it was there.
func (u *up) removeCertManager(ctx context.Context, task ui.Task) (int, error) {
	namespace := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": certManagerNamespace}}}
	if _, err := u.client.Dynamic.Resource(namespaces).Get(ctx, certManagerNamespace, metav1.GetOptions{}); err != nil {
		return 0, ignoreNotFound(err)
	}
	helm, err := u.helm()
	if err != nil {
		return 0, err
	}
	if _, err := helm.Releases.Last(certManagerName); errors.Is(err, driver.ErrReleaseNotFound) {
		return 0, nil // not ours
	}
	task.Update("removing %s", certManagerName)
	if err := uninstall(helm); err != nil {
		return 0, err
	}
	return 1, u.client.Delete(ctx, namespace)
}

// certManagerChart reads the embedded chart.
func certManagerChart() (*chart.Chart, error) {
	files, err := embedded.Chart(certManagerName)
	if err != nil {
		return nil, err
	}
	var buffered []*loader.BufferedFile
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, path)
		buffered = append(buffered, &loader.BufferedFile{Name: path, Data: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the chart of %s: %w", certManagerName, err)
	}
	loaded, err := loader.LoadFiles(buffered)
	if err != nil {
		return nil, fmt.Errorf("reading the chart of %s: %w", certManagerName, err)
	}
	return loaded, nil
}

// probeName is what the proof's objects are called.
const probeName = "slipway-probe"

// proofLimit is generous: the webhook's certificate must reach the API server first, which takes seconds.
const proofLimit = 3 * time.Minute

// proveCertManager has a certificate issued: its Deployments are available some seconds before its webhook answers.
func (u *up) proveCertManager(ctx context.Context, task ui.Task) error {
	ctx, cancel := context.WithTimeout(ctx, proofLimit)
	defer cancel()
	objects := proofObjects()
	defer u.removeProof(context.WithoutCancel(ctx), objects)
	say := func(saw string) { task.Update("issuing a certificate: %s", saw) }
	applied := false
	return kube.Wait(ctx, "a certificate from cert-manager", say, func(ctx context.Context) (bool, string, error) {
		for _, object := range objects {
			if applied {
				break
			}
			if _, _, err := u.client.Apply(ctx, object, environment.FieldManager); err != nil {
				return false, "", err
			}
		}
		applied = true
		found, err := u.client.Dynamic.Resource(certificates).Namespace(environment.Namespace).Get(ctx, probeName, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		status, reason, message := kube.Condition(found, "Ready")
		return status == "True", strings.TrimSpace(reason + " " + message), nil
	})
}

func proofObjects() []*unstructured.Unstructured {
	object := func(kind string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": kind,
			"metadata": map[string]any{"namespace": environment.Namespace, "name": probeName},
			"spec":     spec,
		}}
	}
	return []*unstructured.Unstructured{
		object("Issuer", map[string]any{"selfSigned": map[string]any{}}),
		object("Certificate", map[string]any{
			"secretName": probeName, "dnsNames": []any{"probe.localhost"},
			"privateKey": map[string]any{"algorithm": "ECDSA"},
			"issuerRef":  map[string]any{"name": probeName},
		}),
	}
}

func (u *up) removeProof(ctx context.Context, objects []*unstructured.Unstructured) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, object := range slices.Backward(objects) {
		if err := u.client.Delete(ctx, object); err != nil {
			u.Log.Warn("removing the proof's objects", "error", err)
		}
	}
	err := u.client.Dynamic.Resource(secrets).Namespace(environment.Namespace).Delete(ctx, probeName, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		u.Log.Warn("removing the proof's secret", "error", err)
	}
}
