package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"slipway.dev/slipway/internal/identity"
	"slipway.dev/slipway/internal/supplychain/webhook"
)

func addWebhookFlags(flags *pflag.FlagSet, options *controllerOptions) {
	flags.StringVar(&options.webhookAddr, "webhook-addr", ":9443", "where the admission webhooks are served")
	flags.StringVar(&options.webhookSecret, "webhook-secret", "", "the secret, in --namespace, with the webhooks' certificate; it may come later (empty, without --cert-dir: no webhooks)")
	flags.StringVar(&options.webhookAccount, "webhook-account", "slipway-webhooks", "the service account, in --namespace, as which that secret is read: the controller's own may read none")
	flags.StringVar(&options.certDir, "cert-dir", "", "a folder with tls.crt and tls.key for the webhooks, instead of --webhook-secret")
}

// setupWebhooks serves admission where there is a certificate for it, and returns what readiness must ask.
func setupWebhooks(mgr ctrl.Manager, options controllerOptions, secrets identity.Secrets, logger *slog.Logger) (map[string]healthz.Checker, error) {
	if options.webhookSecret == "" && options.certDir == "" {
		logger.Info("admission webhooks are off: neither --webhook-secret nor --cert-dir is set")
		return nil, nil
	}
	served := webhook.Options{Addr: options.webhookAddr, CertDir: options.certDir, Logger: logger}
	if options.webhookSecret != "" {
		served.Secret = types.NamespacedName{Namespace: options.namespace, Name: options.webhookSecret}
		served.As = func(ctx context.Context) (dynamic.Interface, error) {
			return secrets.As(ctx, types.NamespacedName{Namespace: options.namespace, Name: options.webhookAccount})
		}
	}
	webhooks, err := webhook.Setup(mgr, served)
	if err != nil {
		return nil, fmt.Errorf("setting up the admission webhooks: %w", err)
	}
	return map[string]healthz.Checker{"webhooks": webhooks.Ready}, nil
}
