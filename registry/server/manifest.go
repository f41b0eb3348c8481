package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest is what we need to know of one: an image, an index or another artifact, in OCI's or Docker's words, which are
// the same as far as they are read here.
type manifest struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *v1.Descriptor    `json:"config"`
	Layers       []v1.Descriptor   `json:"layers"`
	Manifests    []v1.Descriptor   `json:"manifests"`
	Subject      *v1.Descriptor    `json:"subject"`
	Annotations  map[string]string `json:"annotations"`

	length int64 // of the manifest itself
}

func parseManifest(content []byte) (*manifest, error) {
	m := &manifest{length: int64(len(content))}
	if err := json.Unmarshal(content, m); err != nil {
		return nil, err
	}
	return m, nil
}

// manifest reads one.
func (s *store) manifest(digest string) (*manifest, error) {
	if known, ok := s.manifests.Load(digest); ok {
		return known.(*manifest), nil //nolint:forcetypeassert // nothing else is stored
	}
	content, err := os.ReadFile(filepath.Join(s.blobDir(digest), "data"))
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s: %w", digest, err)
	}
	m, err := parseManifest(content)
	if err != nil {
		return nil, fmt.Errorf("reading manifest %s: %w", digest, err)
	}
	s.manifests.Store(digest, m)
	return m, nil
}

// forget is for a manifest that was removed.
func (s *store) forget(digest string) { s.manifests.Delete(digest) }

// blobs are the digests of what the manifest is made of, its children left out.
func (m *manifest) blobs() []string {
	var found []string
	if m.Config != nil {
		found = append(found, m.Config.Digest.String())
	}
	for _, layer := range m.Layers {
		found = append(found, layer.Digest.String())
	}
	return found
}

// children are the digests of the manifests that an index names.
func (m *manifest) children() []string {
	var found []string
	for _, child := range m.Manifests {
		found = append(found, child.Digest.String())
	}
	return found
}

func (m *manifest) subject() string {
	if m.Subject == nil {
		return ""
	}
	return m.Subject.Digest.String()
}

// size is that of the manifest and its blobs.
func (m *manifest) size() int64 {
	size := m.length
	if m.Config != nil {
		size += m.Config.Size
	}
	for _, layer := range m.Layers {
		size += layer.Size
	}
	return size
}

// kind is the artifact type as the distribution specification (1.1, listing referrers) derives it.
func (m *manifest) kind() string {
	if m.ArtifactType == "" && m.Config != nil {
		return m.Config.MediaType
	}
	return m.ArtifactType
}

// dockerConfig is the type of a configuration in Docker's words.
const dockerConfig = "application/vnd.docker.container.image.v1+json"

// artifactType is "" for an image.
func (m *manifest) artifactType() string {
	switch kind := m.kind(); kind {
	case v1.MediaTypeImageConfig, dockerConfig:
		return ""
	default:
		return kind
	}
}
