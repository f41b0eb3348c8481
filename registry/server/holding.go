package server

import (
	"cmp"
	"slices"

	"slipway.dev/slipway/registry/contents"
)

// heldImage is an image of the listing with its manifest.
type heldImage struct {
	contents.Image

	manifest *manifest // an empty one when it cannot be read
}

// holding is what the registry holds at a moment.
type holding struct {
	images []*heldImage        // by repository, the newest first
	blobs  map[string]blobInfo // by digest
}

// holding looks at everything. Pushes may go on meanwhile: it is exact only under the gate.
func (s *store) holding() (*holding, error) {
	repositories, err := s.repositories()
	if err != nil {
		return nil, err
	}
	h := &holding{}
	for _, repository := range repositories {
		images, err := s.imagesOf(repository)
		if err != nil {
			return nil, err
		}
		h.images = append(h.images, images...)
	}
	h.blobs, err = s.blobs()
	return h, err
}

func (s *store) imagesOf(repository string) ([]*heldImage, error) {
	revisions, err := s.revisions(repository)
	if err != nil {
		return nil, err
	}
	tags, err := s.tags(repository)
	if err != nil {
		return nil, err
	}
	tagged := map[string][]string{}
	for tag, digest := range tags {
		tagged[digest] = append(tagged[digest], tag)
	}
	var found []*heldImage
	for _, revision := range revisions {
		m, err := s.manifest(revision.digest)
		if err != nil {
			m = &manifest{} // its blob was lost: it is listed, and can be removed
		}
		slices.Sort(tagged[revision.digest])
		found = append(found, &heldImage{manifest: m, Image: contents.Image{
			Repository: repository, Digest: revision.digest, Tags: tagged[revision.digest], MediaType: m.MediaType,
			ArtifactType: m.artifactType(), Subject: m.subject(), Size: m.size(), Pushed: revision.pushed.UTC(),
		}})
	}
	slices.SortFunc(found, func(a, b *heldImage) int {
		return cmp.Or(b.Pushed.Compare(a.Pushed), cmp.Compare(a.Digest, b.Digest))
	})
	return found, nil
}

// used is what all blobs take.
func (h *holding) used() int64 {
	var used int64
	for _, blob := range h.blobs {
		used += blob.size
	}
	return used
}

// listing is the holding in the words of clients.
func (h *holding) listing() contents.Listing {
	l := contents.Listing{Images: []contents.Image{}, Used: h.used()}
	for _, image := range h.images {
		l.Images = append(l.Images, image.Image)
	}
	return l
}
