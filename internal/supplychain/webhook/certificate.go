package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	clientcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// secretCertificate is the certificate in a Secret, as it is now. A Secret that is mounted as a file would do too,
// but the kubelet takes up to a minute and a half to bring a new one, and the pod runs before cert-manager does.
type secretCertificate struct {
	name    types.NamespacedName
	secrets cache.Getter
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]
	looked  chan struct{} // closed once it is known whether the Secret is there
}

var (
	_ manager.Runnable               = (*secretCertificate)(nil)
	_ manager.LeaderElectionRunnable = (*secretCertificate)(nil)
)

func newSecretCertificate(config *rest.Config, name types.NamespacedName, log *slog.Logger) (*secretCertificate, error) {
	core, err := clientcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("preparing the watch of the webhooks' certificate: %w", err)
	}
	return &secretCertificate{name: name, secrets: core.RESTClient(), log: log, looked: make(chan struct{})}, nil
}

// NeedLeaderElection is false: every replica serves.
func (*secretCertificate) NeedLeaderElection() bool { return false }

// Start follows the Secret until ctx ends.
func (c *secretCertificate) Start(ctx context.Context) error {
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(c.secrets, "secrets", c.name.Namespace, fields.OneTermEqualSelector("metadata.name", c.name.Name)),
		ObjectType:    &corev1.Secret{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    c.take,
			UpdateFunc: func(_, object any) { c.take(object) },
			// A Secret that goes is made anew by cert-manager; until then the old certificate is good.
		},
	})
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
			close(c.looked)
		}
	}()
	informer.RunWithContext(ctx)
	return nil
}

// take makes the Secret's certificate the current one.
func (c *secretCertificate) take(object any) {
	secret, ok := object.(*corev1.Secret)
	if !ok || secret.Name != c.name.Name {
		return
	}
	certificate, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		c.log.Error("the webhooks' certificate cannot be used", "secret", c.name.String(), "error", err)
		return
	}
	c.current.Store(&certificate)
	c.log.Info("the webhooks have a certificate", "secret", c.name.String())
}

// get is for tls.Config.
func (c *secretCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if certificate := c.current.Load(); certificate != nil {
		return certificate, nil
	}
	return nil, fmt.Errorf("there is no certificate in Secret %s yet", c.name)
}

func (c *secretCertificate) ready() error {
	select {
	case <-c.looked:
		return nil
	default:
		return errors.New("the webhooks' certificate has not been looked for yet")
	}
}
