package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	gitclient "slipway.dev/slipway/internal/git/client"
	"slipway.dev/slipway/internal/git/pack"
)

const (
	// lookTimeout bounds one look at a repository or an image, the fetch included.
	lookTimeout = 5 * time.Minute
	// storeTimeout bounds the push of an artifact to the environment's own registry.
	storeTimeout = 2 * time.Minute
	// maxFiles is how many bytes the files of a source may have. They are packed in memory, and the controller has
	// 512 MiB.
	maxFiles = 100 << 20
	// maxEntries is how many files and folders a source may have; as many as an artifact may.
	maxEntries = 200_000
)

// maxFetch bounds what of a repository with its submodules is fetched. Four at a time have to fit into the controller's
// scratch folder, of 4 GiB: as they are sent, as objects that were made of differences, twice, and as files.
var maxFetch = pack.Limits{Packed: 100 << 20, Unpacked: 400 << 20, Objects: 250_000}

// limits are how much of a repository with its submodules may be fetched (and of an image's layers, as many bytes), how
// many bytes the files of a source may have, and how many files and folders there may be.
type limits struct {
	fetch          pack.Limits
	files, entries int64
}

// repository is a git repository, and how to get in.
type repository struct {
	url    string
	auth   transport.AuthMethod
	client *http.Client
	limits limits
	left   *pack.Limits // of limits.fetch, for the repository and its submodules
}

// commit is what of a repository a reference means now.
type commit struct {
	hash     plumbing.Hash
	revision string // in Flux's form
}

// open begins a conversation. Its end is the caller's to close.
func (r repository) open(ctx context.Context) (transport.UploadPackSession, *packp.AdvRefs, error) {
	endpoint, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, nil, invalid("spec.git.url %q is not the URL of a repository: %v", r.url, err)
	}
	var client transport.Transport = githttp.NewClient(r.client)
	if endpoint.Protocol == "ssh" {
		client = gitssh.DefaultClient
	}
	session, err := gitclient.Connect(ctx, func() (transport.UploadPackSession, error) { return client.NewUploadPackSession(endpoint, r.auth) })
	if err != nil {
		return nil, nil, r.explain(err)
	}
	offered, err := session.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = session.Close()
		return nil, nil, r.explain(err)
	}
	return session, offered, nil
}

// explain turns what the server answered into a failure.
func (r repository) explain(err error) error {
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		return failed(v1alpha1.ReasonUnauthorized, "%s lets nobody in with these credentials, or does not exist: name a secret with username and password in spec.git.secretRef.", r.url)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return failed(v1alpha1.ReasonNotFound, "There is no repository %s, or it is private: correct spec.git.url, or name a secret in spec.git.secretRef.", r.url)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return failed(v1alpha1.ReasonReferenceNotFound, "%s is empty. Push to it.", r.url)
	}
	return err
}

// resolve says which commit a reference means now.
func (r repository) resolve(offered *packp.AdvRefs, ref v1alpha1.GitReference) (commit, error) {
	all, err := offered.AllReferences()
	if err != nil {
		return commit{}, fmt.Errorf("reading the references: %w", err)
	}
	switch {
	case ref.Commit != "":
		return commit{plumbing.NewHash(ref.Commit), "sha1:" + ref.Commit}, nil
	case ref.Semver != "":
		return r.newest(offered, all, ref.Semver)
	case ref.Tag != "":
		return r.named(offered, all, plumbing.NewTagReferenceName(ref.Tag), "tag", ref.Tag)
	case ref.Branch != "":
		return r.named(offered, all, plumbing.NewBranchReferenceName(ref.Branch), "branch", ref.Branch)
	}
	head, known := all[plumbing.HEAD]
	if !known {
		return commit{}, failed(v1alpha1.ReasonReferenceNotFound, "%s does not say which branch it is on: name one in spec.git.ref.branch.", r.url)
	}
	if head.Type() == plumbing.SymbolicReference {
		return r.named(offered, all, head.Target(), "branch", head.Target().Short())
	}
	for _, reference := range sorted(all) {
		if reference.Name().IsBranch() && reference.Hash() == head.Hash() {
			return commit{head.Hash(), reference.Name().Short() + "@sha1:" + head.Hash().String()}, nil
		}
	}
	return commit{head.Hash(), "HEAD@sha1:" + head.Hash().String()}, nil
}

func sorted(all map[plumbing.ReferenceName]*plumbing.Reference) []*plumbing.Reference {
	var list []*plumbing.Reference
	for _, reference := range all {
		list = append(list, reference)
	}
	slices.SortFunc(list, func(a, b *plumbing.Reference) int { return strings.Compare(a.Name().String(), b.Name().String()) })
	return list
}

func (r repository) named(offered *packp.AdvRefs, all map[plumbing.ReferenceName]*plumbing.Reference, name plumbing.ReferenceName, kind, short string) (commit, error) {
	reference, known := all[name]
	if !known {
		return commit{}, failed(v1alpha1.ReasonReferenceNotFound, "%s has no %s %q.", r.url, kind, short)
	}
	hash := reference.Hash()
	if peeled, annotated := offered.Peeled[name.String()]; annotated {
		hash = peeled
	}
	return commit{hash, short + "@sha1:" + hash.String()}, nil
}

// newest is the tag with the highest version in a range.
func (r repository) newest(offered *packp.AdvRefs, all map[plumbing.ReferenceName]*plumbing.Reference, wanted string) (commit, error) {
	within, err := semver.NewConstraint(wanted)
	if err != nil {
		return commit{}, invalid("spec.git.ref.semver %q is not a range of versions: %v", wanted, err)
	}
	var best *semver.Version
	var tag string
	for _, reference := range sorted(all) {
		if !reference.Name().IsTag() {
			continue
		}
		version, err := semver.NewVersion(reference.Name().Short())
		if err == nil && within.Check(version) && (best == nil || version.GreaterThan(best)) {
			best, tag = version, reference.Name().Short()
		}
	}
	if best == nil {
		return commit{}, failed(v1alpha1.ReasonReferenceNotFound, "%s has no tag with a version in %q.", r.url, wanted)
	}
	return r.named(offered, all, plumbing.NewTagReferenceName(tag), "tag", tag)
}

// fetch brings a commit with its files into a repository in dir, without its history where the server can do that. The
// repository is to be closed when the commit was read.
func (r repository) fetch(ctx context.Context, session transport.UploadPackSession, offered *packp.AdvRefs, hash plumbing.Hash, dir string) (*object.Commit, io.Closer, error) {
	request := packp.NewUploadPackRequestFromCapabilities(offered.Capabilities)
	request.Wants = []plumbing.Hash{hash}
	if offered.Capabilities.Supports(capability.Shallow) {
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return nil, nil, err
		}
		request.Depth = packp.DepthCommits(1)
	}
	answer, err := session.UploadPack(ctx, request)
	if err != nil {
		if strings.Contains(err.Error(), "not our ref") || errors.Is(err, transport.ErrEmptyUploadPackRequest) {
			return nil, nil, failed(v1alpha1.ReasonReferenceNotFound, "%s has no commit %s, or does not give out commits that no branch or tag points to.", r.url, hash)
		}
		return nil, nil, r.explain(err)
	}
	defer answer.Close()
	stored, err := pack.Store(ctx, dir, packOf(request.Capabilities, answer), *r.left)
	if limit, is := errors.AsType[*pack.LimitError](err); is {
		limit.Limit = r.limits.fetch.Of(limit.Of)
		return nil, nil, tooLarge("%s, with its submodules, is too large to be fetched: it has %s. Keep what is no source elsewhere.", r.url, limit.Said())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("fetching commit %s: %w", hash, err)
	}
	r.left.Packed -= stored.Packed
	r.left.Unpacked -= stored.Unpacked
	r.left.Objects -= int64(stored.Objects)
	fetched := pack.Open(dir)
	found, err := object.GetCommit(fetched, hash)
	if err == nil {
		return found, fetched, nil
	}
	_ = fetched.Close()
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, nil, failed(v1alpha1.ReasonReferenceNotFound, "%s has no commit %s.", r.url, hash)
	}
	return nil, nil, err
}

// packOf takes the pack out of what a server sends beside it.
func packOf(granted *capability.List, answer io.Reader) io.Reader {
	switch {
	case granted.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, answer)
	case granted.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return answer
}

// scratch is a folder for one look, which is to be removed.
func scratch() (string, error) {
	dir, err := os.MkdirTemp("", "slipway-source-")
	if err != nil {
		return "", fmt.Errorf("making a folder to fetch into: %w", err)
	}
	return dir, nil
}
