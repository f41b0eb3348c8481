package convention

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"slipway.dev/slipway/api/conventions/v1alpha1"
)

const (
	// certificateAnnotation stands on the requests that cert-manager makes for a Certificate.
	certificateAnnotation = "cert-manager.io/certificate-name"
	// newest is how many authorities are trusted, so that one that is being replaced is for a while.
	newest = 3
)

// authorityError means that there is no authority yet for a convention's certificate.
type authorityError struct {
	of         v1alpha1.CertificateReference
	convention string
}

func (e *authorityError) Error() string {
	return fmt.Sprintf("failed to authenticate: unable to find valid \"CertificateRequests\" for certificate \"%s/%s\" configured in convention %q", e.of.Namespace, e.of.Name, e.convention)
}

// authorities are the certificate authorities of a convention's certificate, in PEM form: those of the newest requests
// that cert-manager has granted. There are none for a convention that names no certificate.
func authorities(ctx context.Context, cluster client.Reader, convention *v1alpha1.ClusterPodConvention) ([]byte, error) {
	if convention.Spec.Webhook == nil || convention.Spec.Webhook.Certificate == nil {
		return nil, nil
	}
	of := *convention.Spec.Webhook.Certificate
	requests := &unstructured.UnstructuredList{}
	requests.SetAPIVersion("cert-manager.io/v1")
	requests.SetKind("CertificateRequestList")
	if err := cluster.List(ctx, requests, client.InNamespace(of.Namespace)); err != nil && !meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("listing the requests for certificate %s/%s: %w", of.Namespace, of.Name, err)
	}
	slices.SortFunc(requests.Items, func(a, b unstructured.Unstructured) int {
		return b.GetCreationTimestamp().Compare(a.GetCreationTimestamp().Time)
	})
	var found [][]byte
	for i := range requests.Items {
		if request := &requests.Items[i]; request.GetAnnotations()[certificateAnnotation] == of.Name && granted(request) {
			written, _, _ := unstructured.NestedString(request.Object, "status", "ca")
			if authority, err := base64.StdEncoding.DecodeString(written); err == nil && len(authority) > 0 && len(found) < newest {
				found = append(found, authority)
			}
		}
	}
	if len(found) == 0 {
		return nil, &authorityError{of: of, convention: convention.Name}
	}
	return slices.Concat(found...), nil
}

func granted(request *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(request.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(one any) bool {
		condition, is := one.(map[string]any)
		return is && condition["type"] == "Ready" && condition["status"] == "True"
	})
}
