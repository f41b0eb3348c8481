package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
)

// sourceKey is the same for equal sources: the artifact's digest, and where that is not known the URL and the revision.
func sourceKey(source v1alpha1.BuildSource) string {
	if source.Digest != "" {
		return source.Digest
	}
	if digest := artifact.Named(source.URL); digest != "" {
		return digest
	}
	return source.URL + " " + source.Revision
}

// inputs are the things that an image would be made of now. A newer base counts as long as the latest image does not
// stand on it.
func inputs(b *v1alpha1.Build) v1alpha1.BuildInputs {
	byName := func(a, b v1alpha1.BuildVariable) int { return strings.Compare(a.Name, b.Name) }
	now := v1alpha1.BuildInputs{
		Source: b.Spec.Source,
		Config: short(map[string]any{
			"image": b.Spec.Image, "env": slices.SortedFunc(slices.Values(b.Spec.Env), byName), "params": slices.SortedFunc(slices.Values(b.Spec.Params), byName),
		}),
		RequestedAt: b.Annotations[v1alpha1.AnnotationRequestedAt],
	}
	now.Base = strings.Join(newer(&b.Status), ",")
	return now
}

// newer are the digests of bases that the latest image does not have.
func newer(status *v1alpha1.BuildStatus) []string {
	bases := status.Bases
	if status.Base != nil {
		bases = append([]v1alpha1.BuildBase{*status.Base}, bases...)
	}
	var digests []string
	for _, base := range bases {
		if base.Newest != "" && base.Newest != base.Digest {
			digests = append(digests, base.Newest)
		}
	}
	return digests
}

// causes are why the latest image is not the one that is wanted; none when it is.
func causes(latest *v1alpha1.BuildInputs, now v1alpha1.BuildInputs) []string {
	if latest == nil {
		return []string{v1alpha1.CauseSource}
	}
	var list []string
	for _, one := range []struct {
		cause string
		is    bool
	}{
		{v1alpha1.CauseSource, sourceKey(latest.Source) != sourceKey(now.Source)},
		{v1alpha1.CauseConfig, latest.Config != now.Config},
		{v1alpha1.CauseBaseImage, now.Base != ""},
		{v1alpha1.CauseManual, latest.RequestedAt != now.RequestedAt},
	} {
		if one.is {
			list = append(list, one.cause)
		}
	}
	return list
}

// identify makes the id of a request: equal inputs are the same request, also after a restart of the controller.
func identify(now v1alpha1.BuildInputs) string {
	return short([]string{sourceKey(now.Source), now.Config, now.RequestedAt, now.Base})
}

// short is enough of a digest to tell a Build's requests apart.
func short(value any) string {
	content, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings always encode
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}
