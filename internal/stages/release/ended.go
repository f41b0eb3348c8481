package release

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// withoutEnded leaves out the Jobs of a released revision that were deleted after they had ended, as their
// ttlSecondsAfterFinished has it: put right like other objects, they would run again and again.
func withoutEnded(ctx context.Context, api dynamic.Interface, members []target) ([]target, error) {
	var left []target
	for _, member := range members {
		_, expires, _ := unstructured.NestedFieldNoCopy(member.object.Object, "spec", "ttlSecondsAfterFinished")
		if expires && member.name.Kind == "Job" && member.name.Group == "batch" {
			_, err := member.in(api).Get(ctx, member.name.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, refused(member.name, err)
			}
		}
		left = append(left, member)
	}
	return left, nil
}
