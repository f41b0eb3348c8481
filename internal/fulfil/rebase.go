package fulfil

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/baseimage"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// mostAttached bounds what is read of a document that is attached to an image.
const mostAttached = 16 << 20

// rebase puts what was built on the newer base, without building. It returns nil when the image's builder has not told
// what stands on its base: then it has to be built.
func (w *worker) rebase(ctx context.Context, order Order, task ui.Task) (*Made, error) {
	latest, err := name.NewDigest(order.Latest)
	if err != nil {
		return nil, nil
	}
	documents, err := attachedTo(ctx, latest)
	if err != nil {
		return nil, fmt.Errorf("reading what is attached to %s: %w", latest, err)
	}
	record, found, err := recordIn(documents)
	if !found || err != nil {
		return nil, err
	}
	task.Update("putting it on the newer %s", record.Name)
	image, err := remote.Image(latest, remote.WithContext(ctx))
	if err != nil {
		return nil, nil // it was swept
	}
	bases := &baseimage.Finder{}
	defer bases.Close()
	base, err := bases.Find(ctx, baseimage.Query{
		Base: record.Name, Registry: w.Registry, Platform: w.Platform, Say: func(what string) { task.Update("%s", what) },
	})
	if err != nil {
		return nil, Refuse(ctx, err)
	}
	built, err := baseimage.Rebase(image, base, w.Platform, record)
	if err != nil {
		return nil, err
	}
	digest, err := built.Image.Digest()
	if err != nil {
		return nil, err
	}
	built.Evidence = append(built.Evidence, carried(documents, latest, digest)...)
	if err := w.check(ctx, order.ID); err != nil {
		return nil, err
	}
	return Push(ctx, w.Pusher, order, built, nil)
}

// attachedTo reads what is attached to an image.
func attachedTo(ctx context.Context, image name.Digest) ([]build.Evidence, error) {
	index, err := remote.Referrers(image, remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var documents []build.Evidence
	for _, one := range manifest.Manifests {
		attached, err := remote.Image(image.Context().Digest(one.Digest.String()), remote.WithContext(ctx))
		if err != nil {
			return nil, err
		}
		layers, err := attached.Layers()
		if err != nil || len(layers) != 1 {
			continue // somebody else's
		}
		content, err := contentOf(layers[0])
		if err != nil {
			return nil, err
		}
		documents = append(documents, build.Evidence{MediaType: one.ArtifactType, Content: content})
	}
	return documents, nil
}

func contentOf(layer v1.Layer) ([]byte, error) {
	stream, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	content, err := io.ReadAll(io.LimitReader(stream, mostAttached+1))
	if err == nil && len(content) > mostAttached {
		err = errors.New("what is attached to the image is too large")
	}
	return content, err
}

// recordIn finds what a builder has told of the base.
func recordIn(documents []build.Evidence) (record baseimage.Record, found bool, err error) {
	for _, one := range documents {
		if one.MediaType != baseimage.RecordType {
			continue
		}
		if err := json.Unmarshal(one.Content, &record); err != nil {
			return record, false, fmt.Errorf("reading what tells of the image's base: %w", err)
		}
		return record, true, nil
	}
	return record, false, nil
}

// carried are the documents that are true of the rebased image, too: from what it was built, and of what its program is
// made, where the image's own digest is the only thing that differs.
func carried(documents []build.Evidence, from name.Digest, to v1.Hash) []build.Evidence {
	var list []build.Evidence
	for _, one := range documents {
		switch one.MediaType {
		case registry.SourceType:
			list = append(list, one)
		case registry.SPDXType:
			before := []byte(from.DigestStr()[len("sha256:"):])
			list = append(list, build.Evidence{MediaType: one.MediaType, Content: bytes.ReplaceAll(one.Content, before, []byte(to.Hex))})
		}
	}
	return list
}
