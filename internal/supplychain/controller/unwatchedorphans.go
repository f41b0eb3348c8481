package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/identity"
)

// errStamperUnknown : nothing tells which service account stamped an object, and the owner has none.
var errStamperUnknown = errors.New("it is not known which service account stamped the object")

// unwatched makes sure that the kinds of all that was published before are watched, also by an earlier life of this
// process, so that the watches tell of orphans. What is not wanted of a kind that may not be watched is read, and
// returned if it is there; while that cannot be, it stays visible.
func (s *sweeping) unwatched(ctx context.Context) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, before := range s.of.status.Resources {
		ref := before.StampedRef
		if ref == nil {
			continue
		}
		mapping, watched, err := s.watchAgain(ctx, ref)
		if meta.IsNoMatchError(err) { // a kind that is gone has no objects
			continue
		}
		if s.wanted[identityOfRef(ref)] {
			if err != nil {
				s.log.Warn("what was stamped before cannot be watched", "kind", ref.Kind, "error", err)
			}
			continue
		}
		var orphan *unstructured.Unstructured
		if err == nil && !watched {
			orphan, err = s.read(ctx, before, mapping)
		}
		switch {
		case orphan != nil:
			found = append(found, orphan)
		case err == nil, apierrors.IsForbidden(err) && s.mayBeRetained(before):
		case s.unsure[before.Name]:
			s.result.kept = append(s.result.kept, before) // it may be what the resource wants
		default:
			s.keep(before, fmt.Errorf("looking for it: %w", err))
			s.result.attention = soon
		}
	}
	return found
}

// watchAgain makes sure that a kind is watched, as far as that is allowed.
func (s *sweeping) watchAgain(ctx context.Context, ref *v1alpha1.StampedRef) (mapping *meta.RESTMapping, watched bool, err error) {
	if mapping, err = s.stamped.mapping(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)); err != nil {
		return nil, false, err
	}
	informer, err := s.stamped.watch(ctx, mapping.Resource)
	return mapping, informer != nil, err
}

// read reads what was stamped before, of a kind that may not be watched. nil means that it is not there, or is not the
// owner's any more.
func (s *sweeping) read(ctx context.Context, before v1alpha1.ResourceStatus, mapping *meta.RESTMapping) (*unstructured.Unstructured, error) {
	ref := before.StampedRef
	if namespaced(mapping) && ref.Namespace != s.of.object.GetNamespace() {
		return nil, nil // nothing is stamped there
	}
	var recorded types.NamespacedName
	if account := before.ServiceAccountRef; account != nil {
		recorded = types.NamespacedName{Namespace: account.Namespace, Name: account.Name}
	}
	var found *unstructured.Unstructured
	err := s.as(ctx, recorded, func(who *identity.Identity) (err error) {
		found, err = (&cluster{identity: who}).at(mapping, ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !metav1.IsControlledBy(found, s.of.object) {
			found, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// mayBeRetained says whether what cannot be read is, as far as is known without reading it, one of several that were
// stamped one after the other: see retained.
func (s *sweeping) mayBeRetained(before v1alpha1.ResourceStatus) bool {
	for _, resource := range s.current {
		if resource.Name != before.Name || resource.StampedRef == nil || resource.TemplateRef == nil || before.TemplateRef == nil {
			continue
		}
		lifecycle := s.lifecycles[resource.Name]
		return lifecycle != "" && lifecycle != v1alpha1.LifecycleMutable && *resource.TemplateRef == *before.TemplateRef &&
			resource.StampedRef.APIVersion == before.StampedRef.APIVersion && resource.StampedRef.Kind == before.StampedRef.Kind
	}
	return false
}

// as has something done with the identity that the owner has now or, where that may not, with those that it may have had
// when the object was stamped, one after the other. recorded is the account that is noted beside the object; without a
// name where none is. The error is that of them all.
func (s *sweeping) as(ctx context.Context, recorded types.NamespacedName, do func(*identity.Identity) error) error {
	var refused error
	tried := map[types.NamespacedName]bool{}
	if s.identity != nil {
		if refused = do(s.identity); !apierrors.IsForbidden(refused) {
			return refused
		}
		tried[s.identity.Account] = true
	}
	for _, account := range append([]types.NamespacedName{recorded}, s.formerAccounts(ctx)...) {
		if account.Name == "" || tried[account] {
			continue
		}
		tried[account] = true
		s.waiting.asks(s.of.key(), account)
		who, err := s.owners.identity(ctx, account)
		if err == nil {
			if err = do(who); !apierrors.IsForbidden(err) {
				return err
			}
		}
		if refused == nil {
			refused = err
		} else {
			refused = fmt.Errorf("%w; %w", refused, err)
		}
	}
	if refused == nil {
		return errStamperUnknown
	}
	return refused
}

// formerAccounts are the accounts that the owner may have had before: the one that it used last, as far as this process
// knows, and that of the blueprint by which it was realised last.
func (s *sweeping) formerAccounts(ctx context.Context) []types.NamespacedName {
	var accounts []types.NamespacedName
	if account, known := s.waiting.of(s.of.key()); known {
		accounts = append(accounts, account)
	}
	if s.before.Name == "" {
		return accounts
	}
	object := s.family.newBlueprint()
	if err := s.client.Get(ctx, client.ObjectKey{Name: s.before.Name}, object); err != nil {
		return accounts // it is gone
	}
	return append(accounts, accountOf(s.of, blueprintOf(object)))
}

// accountNamed reads the account that is noted on an object; without a name where none is.
func accountNamed(noted string) types.NamespacedName {
	namespace, name, found := strings.Cut(noted, "/")
	if !found {
		return types.NamespacedName{}
	}
	return types.NamespacedName{Namespace: namespace, Name: name}
}
