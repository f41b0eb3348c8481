package convention

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

const (
	// webhookTimeout is how long a convention's server may take, as for an admission webhook.
	webhookTimeout = 10 * time.Second
	// maxAnswer bounds what a server may answer; an object of the API server cannot be larger anyway.
	maxAnswer = 4 << 20
	// restAfterTimeout is how long a server that took too long is not asked again: it would hold up those that need
	// others.
	restAfterTimeout = 15 * time.Second
)

// podConventionContext is what a convention's server gets and answers: the kind PodConventionContext of
// webhooks.conventions.carto.run/v1alpha1, which is never stored.
type podConventionContext struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   contextSpec   `json:"spec"`
	Status contextStatus `json:"status"`
}

type contextSpec struct {
	Template    *corev1.PodTemplateSpec `json:"template"`
	ImageConfig []imageConfig           `json:"imageConfig"`
}

type imageConfig struct {
	Image  string         `json:"image"`
	BOMs   []bom          `json:"boms,omitempty"`
	Config *v1.ConfigFile `json:"config"`
}

type contextStatus struct {
	Template           *corev1.PodTemplateSpec `json:"template,omitempty"`
	AppliedConventions []string                `json:"appliedConventions,omitempty"`
}

// webhooks asks the servers of conventions. Its methods may be called from several goroutines.
type webhooks struct {
	timeout time.Duration

	mu    sync.Mutex
	tired map[string]time.Time // servers that took too long, and when they may be asked again
}

func newWebhooks() *webhooks {
	return &webhooks{timeout: webhookTimeout, tired: map[string]time.Time{}}
}

// ask has a convention's server change a template, with the authorities given and those of its own.
func (w *webhooks) ask(ctx context.Context, intent string, convention *v1alpha1.ClusterPodConvention, authorities []byte, template *corev1.PodTemplateSpec, configs []imageConfig) (*corev1.PodTemplateSpec, []string, error) {
	address := address(convention.Spec.Webhook)
	if until := w.rests(address); !until.IsZero() {
		return nil, nil, fmt.Errorf("its server %s took longer than %s, and is asked again in a moment", address, w.timeout)
	}
	question := podConventionContext{
		TypeMeta:   metav1.TypeMeta{APIVersion: "webhooks.conventions.carto.run/v1alpha1", Kind: "PodConventionContext"},
		ObjectMeta: metav1.ObjectMeta{Name: intent + "-" + convention.Name},
		Spec:       contextSpec{Template: template, ImageConfig: configs},
	}
	body, err := json.Marshal(question)
	if err != nil {
		return nil, nil, fmt.Errorf("writing the question to its server: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	answer, err := post(limited, address, append(authorities, convention.Spec.Webhook.ClientConfig.CABundle...), body)
	switch {
	case ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		w.tire(address)
		return nil, nil, fmt.Errorf("its server %s did not answer in %s", address, w.timeout)
	case err != nil:
		return nil, nil, err
	case answer.Status.Template == nil:
		return nil, nil, fmt.Errorf("its server %s answered without a template", address)
	}
	return answer.Status.Template, answer.Status.AppliedConventions, nil
}

func (w *webhooks) rests(address string) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	until := w.tired[address]
	if time.Now().After(until) {
		delete(w.tired, address)
		return time.Time{}
	}
	return until
}

func (w *webhooks) tire(address string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tired[address] = time.Now().Add(restAfterTimeout)
}

// address is the URL of a convention's server.
func address(webhook *v1alpha1.ConventionWebhook) string {
	config := webhook.ClientConfig
	if config.URL != nil {
		return *config.URL
	}
	port := int32(443)
	if config.Service.Port != nil {
		port = *config.Service.Port
	}
	path := ""
	if config.Service.Path != nil {
		path = "/" + strings.TrimPrefix(*config.Service.Path, "/")
	}
	return fmt.Sprintf("https://%s.%s.svc:%d%s", config.Service.Name, config.Service.Namespace, port, path)
}

// post sends a question. Connections are not kept: authorities differ, and change.
func post(ctx context.Context, address string, authorities, body []byte) (*podConventionContext, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(authorities) > 0 {
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, errors.New("its caBundle holds no certificate in PEM form")
		}
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: settings, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of its server %s: %w", address, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("its server %s answered %s: %s", address, response.Status, shorten(said))
	}
	answer := &podConventionContext{}
	if err := json.Unmarshal(said, answer); err != nil {
		return nil, fmt.Errorf("reading the answer of its server %s: %w", address, err)
	}
	return answer, nil
}

// shorten keeps a condition's message readable.
func shorten(said []byte) string {
	const enough = 512
	text := strings.TrimSpace(string(said))
	if len(text) > enough {
		text = strings.ToValidUTF8(text[:enough], "") + "..."
	}
	return text
}
