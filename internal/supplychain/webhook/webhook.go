// Package webhook serves the rules of package admission to the API server, over https. The rules are not here, nor
// is what tells the API server to ask: that is the ValidatingWebhookConfiguration among the embedded manifests, whose
// paths must be those of Paths.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	ctrladmission "sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/supplychain/admission"
)

// Options say where the webhooks are served and with which certificate. Set one of Secret and CertDir.
type Options struct {
	// Addr is host:port; an empty host is every address.
	Addr string
	// Secret is of type kubernetes.io/tls. It need not exist yet, and a new certificate in it is taken up at once;
	// until there is one, connections fail and Ready holds nevertheless.
	Secret types.NamespacedName
	// As gives the client that may list and watch Secret, and no other secret. It is asked again until it has one.
	As func(context.Context) (dynamic.Interface, error)
	// CertDir is a folder with tls.crt and tls.key, which must exist.
	CertDir string
	// Logger is told of certificates that cannot be used; nil discards.
	Logger *slog.Logger
}

// Webhooks are the served rules.
type Webhooks struct {
	secret *secretCertificate // nil when the certificate is in a folder
}

// Setup adds the webhooks to a manager, whose scheme must know the kinds of carto.run. Every replica serves them. An
// error means that the options cannot be used.
func Setup(mgr ctrl.Manager, options Options) (*Webhooks, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	host, portText, err := net.SplitHostPort(options.Addr)
	if err != nil {
		return nil, fmt.Errorf("reading the webhooks' address %q: %w", options.Addr, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("reading the webhooks' address %q: %q is no port", options.Addr, portText)
	}
	if (options.Secret.Name == "") == (options.CertDir == "") {
		return nil, errors.New("the webhooks' certificate comes from a secret or from a folder: give one of them")
	}
	served := webhook.Options{Host: host, Port: int(port), CertDir: options.CertDir}
	w := &Webhooks{}
	if options.Secret.Name != "" {
		if options.As == nil {
			return nil, errors.New("nobody is named who may read the webhooks' certificate")
		}
		w.secret = newSecretCertificate(options)
		if err := mgr.Add(w.secret); err != nil {
			return nil, fmt.Errorf("adding the watch of the webhooks' certificate: %w", err)
		}
		served.TLSOpts = []func(*tls.Config){func(config *tls.Config) { config.GetCertificate = w.secret.get }}
	}
	server := webhook.NewServer(served)
	for path, empty := range kinds {
		server.Register(path, &webhook.Admission{Handler: &handler{
			empty:   empty,
			decoder: ctrladmission.NewDecoder(mgr.GetScheme()),
		}})
	}
	if err := mgr.Add(server); err != nil {
		return nil, fmt.Errorf("adding the server of the webhooks: %w", err)
	}
	return w, nil
}

// Ready is an error until it is known whether there is a certificate; it is a healthz.Checker.
func (w *Webhooks) Ready(*http.Request) error {
	if w.secret == nil {
		return nil
	}
	return w.secret.ready()
}

// kinds are the kinds that have rules, by the path at which they are asked about.
var kinds = map[string]func() client.Object{
	path(v1alpha1.KindClusterSupplyChain):        func() client.Object { return &v1alpha1.ClusterSupplyChain{} },
	path(v1alpha1.KindClusterDelivery):           func() client.Object { return &v1alpha1.ClusterDelivery{} },
	path(v1alpha1.KindClusterSourceTemplate):     func() client.Object { return &v1alpha1.ClusterSourceTemplate{} },
	path(v1alpha1.KindClusterImageTemplate):      func() client.Object { return &v1alpha1.ClusterImageTemplate{} },
	path(v1alpha1.KindClusterConfigTemplate):     func() client.Object { return &v1alpha1.ClusterConfigTemplate{} },
	path(v1alpha1.KindClusterDeploymentTemplate): func() client.Object { return &v1alpha1.ClusterDeploymentTemplate{} },
	path(v1alpha1.KindClusterTemplate):           func() client.Object { return &v1alpha1.ClusterTemplate{} },
	path(v1alpha1.KindClusterRunTemplate):        func() client.Object { return &v1alpha1.ClusterRunTemplate{} },
}

func path(kind string) string { return "/validate-carto-run-v1alpha1-" + strings.ToLower(kind) }

// Paths are the paths that are served, sorted.
func Paths() []string { return slices.Sorted(maps.Keys(kinds)) }

// handler answers for one kind.
type handler struct {
	empty   func() client.Object
	decoder ctrladmission.Decoder
}

var _ ctrladmission.Handler = (*handler)(nil)

// Handle lets through what keeps the rules, what is not written, and what is being deleted: rules must not keep a
// finalizer from being taken off.
func (h *handler) Handle(_ context.Context, request ctrladmission.Request) ctrladmission.Response {
	if request.Operation != admissionv1.Create && request.Operation != admissionv1.Update {
		return ctrladmission.Allowed("")
	}
	object := h.empty()
	if err := h.decoder.Decode(request, object); err != nil {
		return ctrladmission.Errored(http.StatusBadRequest, fmt.Errorf("reading the object: %w", err))
	}
	if !object.GetDeletionTimestamp().IsZero() {
		return ctrladmission.Allowed("")
	}
	warnings := admission.Warnings(object)
	if err := admission.Validate(object); err != nil {
		return ctrladmission.Denied(err.Error()).WithWarnings(warnings...)
	}
	return ctrladmission.Allowed("").WithWarnings(warnings...)
}
