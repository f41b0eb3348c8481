// Package contents is what a registry and its clients say to each other about what the registry holds, beside the
// registry's own API: the listing with ages and sizes, and the request for a sweep. It holds words only: the server is in
// registry/server, the client in registry.
package contents

import "time"

// The paths under which a registry answers. A sweep wants a POST whose content is application/json: a browser asks
// before it sends that to another site, and is not answered, so that no web page can empty the registry on this
// machine.
const (
	Path      = "/slipway/v1/contents"
	SweepPath = "/slipway/v1/sweep"
)

// Image is a manifest: an image, an index of images, or another artifact.
type Image struct {
	Repository   string    `json:"repository"`
	Digest       string    `json:"digest"`
	Tags         []string  `json:"tags,omitempty"` // sorted
	MediaType    string    `json:"mediaType"`
	ArtifactType string    `json:"artifactType,omitempty"` // of what is no image
	Subject      string    `json:"subject,omitempty"`      // the digest of the manifest that this one tells of
	Size         int64     `json:"size"`                   // of the manifest and its blobs, in bytes; an index counts its own manifest alone
	Pushed       time.Time `json:"pushed"`                 // last
}

// Listing is what a registry holds.
type Listing struct {
	Images []Image `json:"images"` // by repository, the newest first
	// Used is what all blobs take on the disk, in bytes, each counted once; also those that nothing names.
	Used int64 `json:"used"`
}

// Keep is what a sweep must not remove, whatever its age.
type Keep struct {
	// Digests are of manifests, in any repository, or of blobs, which keep the manifests that name them: the address of
	// a source artifact holds its layer's. Others are ignored.
	Digests []string `json:"digests"`
	// References are REPOSITORY:TAG or REPOSITORY (then latest), without the registry's host.
	References []string `json:"references"`
}

// SweepRequest asks for a sweep: blobs that nothing names go, and then, while the rest takes more than the budget, images
// that are neither kept nor young, the oldest first.
type SweepRequest struct {
	Budget int64 `json:"budget"` // bytes; 0 removes all that may go
	Keep   Keep  `json:"keep"`
	// Grace, in seconds, is how long what was pushed or asked for is left alone: a push sends its blobs before the
	// manifest that names them.
	Grace  int  `json:"grace"`
	DryRun bool `json:"dryRun,omitempty"`
}

// SweepResult says what a sweep did, or with DryRun would do.
type SweepResult struct {
	Removed []Image `json:"removed"` // never nil
	Blobs   int     `json:"blobs"`   // how many were removed
	Freed   int64   `json:"freed"`   // bytes
	Used    int64   `json:"used"`    // bytes, afterwards
}

// MirrorPrefix is before the names of upstream's images in the registry, so that no app's image can shadow one. They are
// never swept: without a network there is nowhere else to have them from.
const MirrorPrefix = "mirror/"
