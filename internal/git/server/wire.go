package server

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"slipway.dev/slipway/internal/version"
)

// The two services of git's protocol (gitprotocol-http).
const (
	uploadPack  = "git-upload-pack"  // clone and fetch
	receivePack = "git-receive-pack" // push
)

// Every capability that is named here is kept. What a client names of them is heeded where it changes an answer.
var capabilities = map[string]string{
	uploadPack:  "multi_ack_detailed side-band-64k shallow no-progress allow-tip-sha1-in-want allow-reachable-sha1-in-want object-format=sha1",
	receivePack: "report-status delete-refs side-band-64k quiet no-thin ofs-delta object-format=sha1",
}

// git answers git clients. A repository's name may have slashes, so the routes are told apart by how they end.
func (s *Server) git(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache, max-age=0, must-revalidate")
	name, service := path.Split(strings.TrimSuffix(r.URL.Path, "/"))
	switch {
	case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/info/refs"):
		s.infoRefs(w, r, strings.TrimSuffix(r.URL.Path, "/info/refs"))
	case r.Method == http.MethodPost && (service == uploadPack || service == receivePack):
		s.rpc(w, r, name, service)
	default:
		http.Error(w, "this is slipway's git server: clone http://HOST/OWNER/NAME.git", http.StatusNotFound)
	}
}

// infoRefs begins every clone, fetch and push: where the references are.
func (s *Server) infoRefs(w http.ResponseWriter, r *http.Request, name string) {
	service := r.URL.Query().Get("service")
	if service != uploadPack && service != receivePack {
		http.Error(w, "this server speaks git's smart protocol only", http.StatusForbidden)
		return
	}
	repo, err := s.repos.get(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	refs := &snapshot{head: initialHead}
	var store storer.Storer
	switch {
	case repo.exists():
		opened := repo.open()
		defer opened.Close()
		store = opened
		if refs, err = repo.snapshot(opened); err != nil {
			s.fail(w, repo, err)
			return
		}
	case service == uploadPack:
		http.Error(w, fmt.Sprintf("%v: %s; the first push creates it", errNoRepository, repo.name), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	encoder := pktline.NewEncoder(w)
	_ = encoder.Encodef("# service=%s\n", service)
	_ = encoder.Flush()
	_ = advertise(encoder, store, refs, service)
}

func (s *Server) fail(w http.ResponseWriter, repo *repository, err error) {
	s.logger.Error("a request has failed", "repository", repo.name, "error", err)
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// advertise writes the references, HEAD first, tags with what they point to, and the capabilities behind the first.
func advertise(encoder *pktline.Encoder, store storer.EncodedObjectStorer, refs *snapshot, service string) error {
	more := "\x00" + capabilities[service] + " agent=slipway/" + version.Version()
	line := func(hash plumbing.Hash, name string) error {
		err := encoder.Encodef("%s %s%s\n", hash, name, more)
		more = ""
		return err
	}
	head := refs.of(refs.head)
	if service == uploadPack {
		more += " symref=HEAD:" + refs.head.String()
		if !head.IsZero() {
			if err := line(head, "HEAD"); err != nil {
				return err
			}
		}
	}
	for _, ref := range refs.refs {
		if err := line(ref.Hash(), ref.Name().String()); err != nil {
			return err
		}
		if service != uploadPack || !ref.Name().IsTag() {
			continue
		}
		if tag, err := object.GetTag(store, ref.Hash()); err == nil {
			if err := line(peel(store, tag), ref.Name().String()+"^{}"); err != nil {
				return err
			}
		}
	}
	if more != "" {
		if err := line(plumbing.ZeroHash, "capabilities^{}"); err != nil {
			return err
		}
	}
	return encoder.Flush()
}

// peel follows a tag of a tag to what is no tag.
func peel(store storer.EncodedObjectStorer, tag *object.Tag) plumbing.Hash {
	for tag.TargetType == plumbing.TagObject {
		next, err := object.GetTag(store, tag.Target)
		if err != nil {
			break
		}
		tag = next
	}
	return tag.Target
}

// rpc is the second half of a clone, fetch or push.
func (s *Server) rpc(w http.ResponseWriter, r *http.Request, name, service string) {
	// A page in a browser cannot send this type to another origin without being asked first.
	if got := r.Header.Get("Content-Type"); got != "application/x-"+service+"-request" {
		http.Error(w, fmt.Sprintf("content type %q is not that of %s", got, service), http.StatusUnsupportedMediaType)
		return
	}
	repo, err := s.repos.get(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body := io.Reader(r.Body)
	if encoding := r.Header.Get("Content-Encoding"); encoding == "gzip" || encoding == "x-gzip" {
		unpacked, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, "the request is not the gzip that it says: "+err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	w.Header().Set("Content-Type", "application/x-"+service+"-result")
	if service == uploadPack {
		s.upload(w, body, repo)
		return
	}
	s.receive(w, r, body, repo)
}
