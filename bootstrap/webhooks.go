package bootstrap

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/internal/ui"
)

const (
	// webhookName is what the webhooks' Service, Certificate and Secret are called.
	webhookName = "slipway-webhook"
	// webhookConfiguration tells the API server what to ask.
	webhookConfiguration = "slipway-validating-webhook-configuration"
)

var (
	webhookConfigurations = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
	plainTemplates        = schema.GroupVersionResource{Group: "carto.run", Version: "v1alpha1", Resource: "clustertemplates"}
)

// ensureWebhooks has the API server ask slipwayd before it stores supply chains, deliveries and templates, and proves
// that it does. The API server is told only once the certificate is there: it refuses what it cannot ask about.
func (u *up) ensureWebhooks(ctx context.Context, task ui.Task) (outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, proofLimit)
	defer cancel()
	contents, err := embedded.Manifests("webhooks")
	if err != nil {
		return outcome{}, err
	}
	var before, configuration []*unstructured.Unstructured
	for _, content := range contents {
		found, err := kube.Decode(content)
		if err != nil {
			return outcome{}, fmt.Errorf("reading the webhooks' manifests: %w", err)
		}
		for _, object := range found {
			if object.GetKind() == "ValidatingWebhookConfiguration" {
				configuration = append(configuration, object)
			} else {
				before = append(before, object)
			}
		}
	}
	say := func(saw string) { task.Update("%s", saw) }
	changed, err := u.applyWhenHeard(ctx, "the webhooks' certificate to be accepted", say, before)
	if err != nil {
		return outcome{}, err
	}
	if err := kube.Wait(ctx, "the webhooks' certificate", say, u.webhookCertificateReady); err != nil {
		return outcome{}, err
	}
	told, err := u.apply(ctx, configuration)
	if err != nil {
		return outcome{}, err
	}
	if err := kube.Wait(ctx, "the admission webhooks", say, u.webhooksRefuse); err != nil {
		return outcome{}, err
	}
	return outcome{changed: changed || told, detail: "refuse what is wrong"}, nil
}

func (u *up) webhookCertificateReady(ctx context.Context) (bool, string, error) {
	found, err := u.client.Dynamic.Resource(certificates).Namespace(environment.Namespace).Get(ctx, webhookName, metav1.GetOptions{})
	if err != nil {
		return false, "", err
	}
	status, reason, message := kube.Condition(found, "Ready")
	return status == "True", strings.TrimSpace("certificate: " + reason + " " + message), nil
}

// webhooksRefuse tries to make a template that the webhooks must refuse, and stores nothing.
func (u *up) webhooksRefuse(ctx context.Context) (bool, string, error) {
	template := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "carto.run/v1alpha1", "kind": "ClusterTemplate",
		"metadata": map[string]any{"name": probeName}, "spec": map[string]any{},
	}}
	_, err := u.client.Dynamic.Resource(plainTemplates).Create(ctx, template, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	switch {
	case err == nil:
		return false, "the API server does not ask yet", nil
	case strings.Contains(err.Error(), "denied the request"):
		return true, "", nil
	default:
		return false, "", err
	}
}

// applyWhenHeard applies objects, again and again while a webhook that the API server must ask does not answer.
func (u *up) applyWhenHeard(ctx context.Context, what string, say func(string), objects []*unstructured.Unstructured) (bool, error) {
	changed := false
	err := kube.Wait(ctx, what, say, func(ctx context.Context) (bool, string, error) {
		changedNow, err := u.apply(ctx, objects)
		changed = changed || changedNow
		if err != nil && !webhookSilent(err) {
			return false, "", kube.Stop(err)
		}
		return err == nil, "", err
	})
	return changed, err
}

// webhookSilent says whether the API server refused an object because a webhook did not answer.
func webhookSilent(err error) bool { return strings.Contains(err.Error(), "failed calling webhook") }

// removeWebhookSecret takes away what cert-manager made for the webhooks, and would leave behind.
func (u *up) removeWebhookSecret(ctx context.Context) error {
	err := u.client.Dynamic.Resource(secrets).Namespace(environment.Namespace).Delete(ctx, webhookName, metav1.DeleteOptions{})
	if err = ignoreNotFound(err); err != nil {
		return fmt.Errorf("removing the webhooks' certificate: %w", err)
	}
	return nil
}

// webhookStatus says whether the API server asks the webhooks, and if not, why.
func webhookStatus(ctx context.Context, client *kube.Client) Component {
	component := Component{Name: "admission webhooks"}
	found, err := client.Dynamic.Resource(webhookConfigurations).Get(ctx, webhookConfiguration, metav1.GetOptions{})
	if err != nil {
		component.Detail = err.Error()
		return component
	}
	component.Ready, component.Detail = webhooksTrusted(found)
	return component
}

// webhooksTrusted says whether each webhook of a configuration has the certificate that the API server needs.
func webhooksTrusted(configuration *unstructured.Unstructured) (bool, string) {
	webhooks, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
	trusted := 0
	for _, item := range webhooks {
		webhook, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if bundle, _, _ := unstructured.NestedString(webhook, "clientConfig", "caBundle"); bundle != "" {
			trusted++
		}
	}
	if trusted < len(webhooks) || trusted == 0 {
		return false, fmt.Sprintf("%d of %d have a certificate authority; supply chains and templates cannot be written", trusted, len(webhooks))
	}
	return true, fmt.Sprintf("%d kinds are checked", trusted)
}
