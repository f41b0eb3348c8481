package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// The artifact types of what is attached to images.
const (
	// SourceType is of a Source, as JSON.
	SourceType = "application/vnd.slipway.source.v1+json"
	// SPDXType is of a bill of materials in SPDX 2.3, as JSON; the name is registered with IANA.
	SPDXType = "application/spdx+json"
)

// Annotations of attached manifests, as the OCI image specification names them.
const (
	createdAnnotation  = "org.opencontainers.image.created"
	sourceAnnotation   = "org.opencontainers.image.source"
	revisionAnnotation = "org.opencontainers.image.revision"
)

// emptyConfig is the descriptor that the OCI image specification (1.1, "guidance for an empty descriptor") gives a manifest
// without a configuration.
const (
	emptyType   = types.MediaType("application/vnd.oci.empty.v1+json")
	emptyConfig = "{}"
)

// Source tells what an image was built from. It is attached and not put into the image, so that the same source tree
// gives the same image, whoever builds it and when.
type Source struct {
	Location string    `json:"location"`           // the folder, or the repository's URL
	Revision string    `json:"revision,omitempty"` // git's commit; "" when the folder is in no repository
	Dirty    bool      `json:"dirty"`              // whether the folder differs from the revision
	Tree     string    `json:"tree,omitempty"`     // the digest of the files, or of the source artifact; "" when unknown
	Builder  string    `json:"builder,omitempty"`
	Time     time.Time `json:"time"` // of the build
}

// AttachSource attaches what the image was built from.
func (p *Pusher) AttachSource(ctx context.Context, subject name.Digest, source Source) (name.Digest, error) {
	source.Time = source.Time.UTC().Truncate(time.Second)
	content, err := json.Marshal(source)
	if err != nil {
		return name.Digest{}, fmt.Errorf("attaching the source of %s: %w", subject, err)
	}
	annotations := map[string]string{createdAnnotation: source.Time.Format(time.RFC3339), sourceAnnotation: source.Location}
	if source.Revision != "" {
		annotations[revisionAnnotation] = source.Revision
	}
	return p.Attach(ctx, subject, SourceType, content, annotations)
}

// Attach pushes content as an artifact that tells of subject, which must be in its registry (OCI distribution
// specification 1.1, referrers). It lives as long as its subject. The same content with the same annotations is the same
// artifact. What is returned names it.
func (p *Pusher) Attach(ctx context.Context, subject name.Digest, artifactType string, content []byte, annotations map[string]string) (name.Digest, error) {
	repository := subject.Context()
	about, err := remote.Head(subject, remote.WithContext(ctx), remote.WithTransport(p.transport))
	if err != nil {
		return name.Digest{}, pushError(ctx, subject, fmt.Errorf("looking for what is attached to: %w", err))
	}
	made, err := newAttachment(*about, artifactType, content, annotations)
	if err != nil {
		return name.Digest{}, fmt.Errorf("attaching to %s: %w", subject, err)
	}
	target := repository.Digest(made.digest.String())
	err = p.persist(ctx, target, func(ctx context.Context, session *remote.Pusher) error {
		group, inner := errgroup.WithContext(ctx)
		for _, blob := range made.blobs {
			group.Go(func() error { return session.Upload(inner, repository, blob) })
		}
		if err := group.Wait(); err != nil {
			return err
		}
		return session.Put(ctx, target, made)
	})
	if err != nil {
		return name.Digest{}, pushError(ctx, target, err)
	}
	return target, nil
}

// attachment is a manifest that has a subject, and the blobs that it names.
type attachment struct {
	raw    []byte
	digest v1.Hash
	blobs  []v1.Layer
}

// attachmentManifest is v1.Manifest with the artifact type, which that lacks.
type attachmentManifest struct {
	SchemaVersion int64             `json:"schemaVersion"`
	MediaType     types.MediaType   `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        v1.Descriptor     `json:"config"`
	Layers        []v1.Descriptor   `json:"layers"`
	Subject       v1.Descriptor     `json:"subject"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func newAttachment(subject v1.Descriptor, artifactType string, content []byte, annotations map[string]string) (*attachment, error) {
	config, layer := newBlob([]byte(emptyConfig), emptyType), newBlob(content, types.MediaType(artifactType))
	raw, err := json.Marshal(attachmentManifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: artifactType,
		Config: config.descriptor(), Layers: []v1.Descriptor{layer.descriptor()},
		Subject:     v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: maps.Clone(annotations),
	})
	if err != nil {
		return nil, err
	}
	digest, _, err := v1.SHA256(bytes.NewReader(raw))
	return &attachment{raw: raw, digest: digest, blobs: []v1.Layer{config, layer}}, err
}

var _ remote.Taggable = (*attachment)(nil)

func (a *attachment) RawManifest() ([]byte, error)        { return a.raw, nil }
func (a *attachment) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// blob is content of any kind, in memory, as the library wants to see it: a layer that is packed already.
type blob struct {
	content   []byte
	digest    v1.Hash
	mediaType types.MediaType
}

var _ v1.Layer = (*blob)(nil)

func newBlob(content []byte, mediaType types.MediaType) *blob {
	digest, _, _ := v1.SHA256(bytes.NewReader(content)) // reading memory does not fail
	return &blob{content: content, digest: digest, mediaType: mediaType}
}

func (b *blob) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: b.mediaType, Digest: b.digest, Size: int64(len(b.content))}
}

func (b *blob) Digest() (v1.Hash, error) { return b.digest, nil }
func (b *blob) DiffID() (v1.Hash, error) { return b.digest, nil }
func (b *blob) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(b.content)), nil
}
func (b *blob) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }
func (b *blob) Size() (int64, error)                 { return int64(len(b.content)), nil }
func (b *blob) MediaType() (types.MediaType, error)  { return b.mediaType, nil }
