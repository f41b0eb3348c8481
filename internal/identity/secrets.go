package identity

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// Secrets reads secrets as the accounts of their namespaces, whose UIDs it finds with Accounts.
type Secrets struct {
	Pool     *Pool
	Accounts client.Reader
}

// Secret reads a secret of the account's namespace as that account. It fails as the API server does, also where the
// account is what is not found.
func (s Secrets) Secret(ctx context.Context, account types.NamespacedName, name string) (*corev1.Secret, error) {
	who, err := s.As(ctx, account)
	if err != nil {
		return nil, err
	}
	object, err := who.Resource(secrets).Namespace(account.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, secret); err != nil {
		return nil, fmt.Errorf("reading secret %s/%s: %w", account.Namespace, name, err)
	}
	return secret, nil
}

// As is a client that acts as an account. It fails where the account is not there.
func (s Secrets) As(ctx context.Context, account types.NamespacedName) (dynamic.Interface, error) {
	var found corev1.ServiceAccount
	if err := s.Accounts.Get(ctx, account, &found); err != nil {
		return nil, err
	}
	who, err := s.Pool.Of(account, found.UID)
	if err != nil {
		return nil, err
	}
	return who.Client, nil
}
