package controller

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

const defaultAccount = "default"

// accountError is why there is no identity, with the reason to publish.
type accountError struct {
	reason string
	err    error
}

func (e *accountError) Error() string { return e.err.Error() }
func (e *accountError) Unwrap() error { return e.err }

func reasonOf(err error) string {
	var of *accountError
	if errors.As(err, &of) {
		return of.reason
	}
	return v1alpha1.ReasonUnknownError
}

// retryable returns err unless waiting for a change is the only thing that helps: an account that is not there wakes
// its workloads when it appears, and a refusal when roles change.
func retryable(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

// accountOf says with which service account the objects of an owner are made.
func accountOf(of *owner, by *blueprint) types.NamespacedName {
	account := types.NamespacedName{Namespace: of.object.GetNamespace(), Name: of.account}
	if account.Name != "" {
		return account
	}
	ref := by.account
	if ref.Name == "" {
		account.Name = defaultAccount
		return account
	}
	account.Name = ref.Name
	if ref.Namespace != "" {
		account.Namespace = ref.Namespace
	}
	return account
}

// accountMetadata is what is read of service accounts: that they are there, and which.
func accountMetadata() *metav1.PartialObjectMetadata {
	account := &metav1.PartialObjectMetadata{}
	account.SetGroupVersionKind(serviceAccounts)
	return account
}

// accounts are the service accounts that the owners of one kind use.
type accounts struct {
	client     client.Client
	identities *identity.Pool
	waiting    *waiting
}

// identity returns an identity that has a token.
func (a *accounts) identity(ctx context.Context, account types.NamespacedName) (*identity.Identity, error) {
	found := accountMetadata()
	if err := a.client.Get(ctx, account, found); err != nil {
		if apierrors.IsNotFound(err) {
			a.identities.Forget(account)
		}
		return nil, &accountError{reason: v1alpha1.ReasonServiceAccountError, err: fmt.Errorf("getting service account [%s]: %w", account, err)}
	}
	who, err := a.identities.Of(account, found.GetUID())
	if err != nil {
		return nil, &accountError{reason: v1alpha1.ReasonResourceRealizerBuilder, err: err}
	}
	if err := who.Ready(ctx); err != nil {
		return nil, &accountError{reason: v1alpha1.ReasonServiceAccountTokenError, err: err}
	}
	return who, nil
}
