package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// secretCertificate is the certificate in a Secret, as it is now. A Secret that is mounted as a file would do too,
// but the kubelet takes up to a minute and a half to bring a new one, and the pod runs before cert-manager does.
type secretCertificate struct {
	name    types.NamespacedName
	as      func(context.Context) (dynamic.Interface, error)
	log     *slog.Logger
	current atomic.Pointer[tls.Certificate]
	looked  chan struct{} // closed once it is known whether the Secret is there
}

var (
	_ manager.Runnable               = (*secretCertificate)(nil)
	_ manager.LeaderElectionRunnable = (*secretCertificate)(nil)
)

func newSecretCertificate(options Options) *secretCertificate {
	return &secretCertificate{name: options.Secret, as: options.As, log: options.Logger, looked: make(chan struct{})}
}

// NeedLeaderElection is false: every replica serves.
func (*secretCertificate) NeedLeaderElection() bool { return false }

// asAgain is how soon who may read the Secret is asked for again.
const asAgain = time.Second

// Start follows the Secret until ctx ends.
func (c *secretCertificate) Start(ctx context.Context) error {
	client, told := dynamic.Interface(nil), false
	for client == nil {
		var err error
		if client, err = c.as(ctx); err == nil {
			break
		}
		if !told {
			c.log.Warn("the webhooks' certificate cannot be read yet", "secret", c.name.String(), "error", err)
			told = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(asAgain):
		}
	}
	only := func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("metadata.name", c.name.Name).String()
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(client, corev1.SchemeGroupVersion.WithResource("secrets"), c.name.Namespace, 0, cache.Indexers{}, only).Informer()
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.take,
		UpdateFunc: func(_, object any) { c.take(object) },
		// A Secret that goes is made anew by cert-manager; until then the old certificate is good.
	}); err != nil {
		return fmt.Errorf("preparing the watch of the webhooks' certificate: %w", err)
	}
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
	found, ok := object.(*unstructured.Unstructured)
	if !ok || found.GetName() != c.name.Name {
		return
	}
	secret := &corev1.Secret{}
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, secret)
	var certificate tls.Certificate
	if err == nil {
		certificate, err = tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	}
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
