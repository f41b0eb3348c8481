package server

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// distribution has no referrers. This is the OCI distribution specification 1.1's "listing referrers", answered by looking
// at the repository's manifests: there is no index that could go wrong, and a manifest is read from the disk once.

// mostManifest is how large a manifest may be, distribution's own limit.
const mostManifest = 4 << 20

// referrersOf reads the repository and the digest out of such a request's path.
func referrersOf(path string) (repository, subject string, ok bool) {
	path, found := strings.CutPrefix(path, "/v2/")
	if !found {
		return "", "", false
	}
	const separator = "/referrers/"
	at := strings.LastIndex(path, separator)
	if at < 1 {
		return "", "", false
	}
	subject = path[at+len(separator):]
	if strings.Contains(subject, "/") {
		return "", "", false
	}
	repository = path[:at]
	// A name never holds these; the path would leave the repositories.
	if slices.ContainsFunc(strings.Split(repository, "/"), func(part string) bool { return part == "" || part[0] == '.' || part[0] == '_' }) {
		return "", "", false
	}
	return repository, subject, true
}

// withReferrers answers for the referrers of a manifest, and leaves the rest to next.
func (s *Server) withReferrers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repository, subject, asked := referrersOf(r.URL.Path)
		if asked && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			s.referrers(w, r, repository, subject)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) referrers(w http.ResponseWriter, r *http.Request, repository, subject string) {
	if _, err := digest.Parse(subject); err != nil {
		http.Error(w, `{"errors":[{"code":"DIGEST_INVALID","message":"the subject is no digest"}]}`, http.StatusBadRequest)
		return
	}
	revisions, err := s.store.revisions(repository)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	index := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: []v1.Descriptor{}}
	index.SchemaVersion = 2
	wanted := r.URL.Query().Get("artifactType")
	for _, revision := range revisions {
		found, err := s.store.manifest(revision.digest)
		if err != nil || found.subject() != subject || (wanted != "" && found.kind() != wanted) {
			continue // one that cannot be read refers to nothing
		}
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: found.MediaType, Digest: digest.Digest(revision.digest), Size: found.length,
			ArtifactType: found.kind(), Annotations: found.Annotations,
		})
	}
	w.Header().Set("Content-Type", v1.MediaTypeImageIndex)
	if wanted != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	_ = json.NewEncoder(w).Encode(index)
}

// subjectOf returns what a manifest that is being pushed refers to, and leaves the request's body as it was.
func subjectOf(r *http.Request) (string, error) {
	content, err := io.ReadAll(io.LimitReader(r.Body, mostManifest))
	if err != nil {
		return "", err
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(content), r.Body), r.Body}
	m, err := parseManifest(content)
	if err != nil {
		return "", nil //nolint:nilerr // distribution says what is wrong with it
	}
	return m.subject(), nil
}
