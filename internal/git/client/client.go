// Package client commits files to a branch of a git repository on a server, as a program does that is one of many that
// commit there: without a work tree, in memory, with the newest commit alone fetched, and again on top of what others
// pushed first. It has no opinion on what the files are.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"slipway.dev/slipway/internal/git/pack"
)

const (
	// tries is how often a commit is made again on top of those of others. Each of n writers loses to at most n-1
	// others before it wins.
	tries = 50
)

// maxFetch bounds what is fetched: the branch's newest commit, into a folder for a moment.
var maxFetch = pack.Limits{Packed: 64 << 20, Unpacked: 192 << 20, Objects: 200_000}

var (
	// ErrUnauthorized : the server wants other credentials, or does not say that the repository does not exist.
	ErrUnauthorized = errors.New("the server lets nobody in with these credentials")
	// ErrNotFound : there is no such repository, and the server does not create it.
	ErrNotFound = errors.New("there is no such repository, or it is private")
	// ErrTooLarge : the branch holds more than is fetched. The error says of what, and how much may be.
	ErrTooLarge = errors.New("too large to be fetched")
	// ErrRefused : the server does not move the branch, for another reason than that somebody else did.
	ErrRefused = errors.New("the server refuses the push")

	errMoved = errors.New("another commit was first")
)

// Repository is one on a server.
type Repository struct {
	URL    string               // http://, https:// or ssh://
	Auth   transport.AuthMethod // nil: none
	Client *http.Client         // nil: http.DefaultClient
	// Limits bound what is fetched of a branch; zero: 64 MiB as sent, 192 MiB unpacked, 200,000 files and folders.
	Limits pack.Limits
}

// Change is what a branch is to hold.
type Change struct {
	Branch string // short: main
	// Path is the folder that is to hold Files and nothing else; "" is all of the repository.
	Path  string
	Files map[string]string // content by path below Path
	// Name and Email are of the author and the committer.
	Name, Email string
	Message     string
	// Now is the time of the commit.
	Now func() time.Time
}

func (r Repository) limits() pack.Limits {
	if r.Limits != (pack.Limits{}) {
		return r.Limits
	}
	return maxFetch
}

// Result is what has become of a Change.
type Result struct {
	// Commit is the branch's newest commit: the one that was made, or the one that holds the files already.
	Commit string
	// Made says whether there was anything to commit.
	Made bool
}

// Commit makes the branch hold the change and returns when the server does. Nothing is committed when it does already. A
// branch that is not there begins with this commit. What others push meanwhile is kept: the commit is made again on top.
func (r Repository) Commit(ctx context.Context, change Change) (Result, error) {
	if len(change.Files) == 0 {
		return Result{}, errNothing
	}
	if change.Path != "" {
		if err := CheckPath(change.Path); err != nil {
			return Result{}, err
		}
	}
	for name := range change.Files {
		if err := CheckPath(name); err != nil {
			return Result{}, err
		}
	}
	for try := 1; ; try++ {
		result, err := r.attempt(ctx, change)
		if !errors.Is(err, errMoved) || try == tries {
			return result, explain(err)
		}
		pause := min(20*time.Millisecond<<min(try, 6), time.Second)
		timer := time.NewTimer(pause/2 + rand.N(pause)) //nolint:gosec // jitter needs no secrecy
		select {
		case <-ctx.Done():
			timer.Stop()
			return Result{}, ctx.Err()
		case <-timer.C:
		}
	}
}

func (r Repository) attempt(ctx context.Context, change Change) (Result, error) {
	dir, err := os.MkdirTemp("", "slipway-commit-")
	if err != nil {
		return Result{}, fmt.Errorf("making a folder to fetch into: %w", err)
	}
	defer os.RemoveAll(dir)
	store := pack.Open(dir)
	defer store.Close()
	branch := plumbing.NewBranchReferenceName(change.Branch)
	tip, root, err := r.fetch(ctx, store, dir, branch)
	if err != nil {
		return Result{}, err
	}
	build := &builder{store: store}
	content, err := build.folder(change.Files)
	if err != nil {
		return Result{}, err
	}
	after, err := build.replace(root, change.Path, content)
	if err != nil {
		return Result{}, err
	}
	if after == root {
		return Result{Commit: tip.String()}, nil
	}
	who := object.Signature{Name: change.Name, Email: change.Email, When: change.Now()}
	commit := &object.Commit{Author: who, Committer: who, Message: strings.TrimSpace(change.Message) + "\n", TreeHash: after}
	if !tip.IsZero() {
		commit.ParentHashes = []plumbing.Hash{tip}
	}
	encoded := store.NewEncodedObject()
	if err := commit.Encode(encoded); err != nil {
		return Result{}, fmt.Errorf("writing the commit: %w", err)
	}
	id, err := store.SetEncodedObject(encoded)
	if err != nil {
		return Result{}, err
	}
	var packed bytes.Buffer
	if _, err := packfile.NewEncoder(&packed, store, false).Encode(append(build.made, id), 0); err != nil {
		return Result{}, fmt.Errorf("packing the commit: %w", err)
	}
	if err := r.push(ctx, &packp.Command{Name: branch, Old: tip, New: id}, &packed); err != nil {
		return Result{}, err
	}
	return Result{Commit: id.String(), Made: true}, nil
}

func (r Repository) transport() (transport.Transport, *transport.Endpoint, error) {
	endpoint, err := transport.NewEndpoint(r.URL)
	if err != nil {
		return nil, nil, fmt.Errorf("%q is not the URL of a repository: %w", r.URL, err)
	}
	if endpoint.Protocol == "ssh" {
		return gitssh.DefaultClient, endpoint, nil
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	return githttp.NewClient(client), endpoint, nil
}

// fetch brings a branch's newest commit and its tree into store, which is in dir. A branch or a repository that is not there is zero: the push shows
// whether it may be made.
func (r Repository) fetch(ctx context.Context, store *pack.Repository, dir string, branch plumbing.ReferenceName) (tip, root plumbing.Hash, err error) {
	client, endpoint, err := r.transport()
	if err != nil {
		return tip, root, err
	}
	session, err := Connect(ctx, func() (transport.UploadPackSession, error) { return client.NewUploadPackSession(endpoint, r.Auth) })
	if err != nil {
		return tip, root, err
	}
	defer session.Close()
	offered, err := session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) || errors.Is(err, transport.ErrRepositoryNotFound) {
		return tip, root, nil
	}
	if err != nil {
		return tip, root, err
	}
	tip, found := offered.References[branch.String()]
	if !found {
		return plumbing.ZeroHash, root, nil
	}
	request := packp.NewUploadPackRequestFromCapabilities(offered.Capabilities)
	request.Wants = []plumbing.Hash{tip}
	if offered.Capabilities.Supports(capability.Shallow) {
		if err := request.Capabilities.Set(capability.Shallow); err != nil {
			return tip, root, err
		}
		request.Depth = packp.DepthCommits(1)
	}
	if offered.Capabilities.Supports(capability.Filter) {
		if err := request.Capabilities.Set(capability.Filter); err != nil {
			return tip, root, err
		}
		request.Filter = packp.FilterBlobNone() // trees alone say what is where
	}
	answer, err := session.UploadPack(ctx, request)
	if err != nil {
		return tip, root, err
	}
	defer answer.Close()
	_, err = pack.Store(ctx, dir, packOf(request.Capabilities, answer), r.limits())
	if limit, is := errors.AsType[*pack.LimitError](err); is {
		return tip, root, fmt.Errorf("%w: branch %s has %s", ErrTooLarge, branch.Short(), limit.Said())
	}
	if err != nil {
		return tip, root, fmt.Errorf("fetching branch %s: %w", branch.Short(), err)
	}
	commit, err := object.GetCommit(store, tip)
	if err != nil {
		return tip, root, fmt.Errorf("reading commit %s: %w", tip, err)
	}
	return tip, commit.TreeHash, nil
}

func packOf(granted *capability.List, answer io.Reader) io.Reader {
	switch {
	case granted.Supports(capability.Sideband64k):
		return sideband.NewDemuxer(sideband.Sideband64k, answer)
	case granted.Supports(capability.Sideband):
		return sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return answer
}

// push moves a branch, if it is still where it was.
func (r Repository) push(ctx context.Context, command *packp.Command, pack io.Reader) error {
	client, endpoint, err := r.transport()
	if err != nil {
		return err
	}
	session, err := Connect(ctx, func() (transport.ReceivePackSession, error) { return client.NewReceivePackSession(endpoint, r.Auth) })
	if err != nil {
		return err
	}
	defer session.Close()
	offered, err := session.AdvertisedReferencesContext(ctx)
	if err != nil && !errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return err
	}
	if offered == nil {
		offered = packp.NewAdvRefs()
	}
	if now := offered.References[command.Name.String()]; now != command.Old {
		return errMoved
	}
	request := packp.NewReferenceUpdateRequestFromCapabilities(offered.Capabilities)
	// Without a report nobody would know what has become of it.
	if err := request.Capabilities.Set(capability.ReportStatus); err != nil {
		return err
	}
	request.Commands = []*packp.Command{command}
	request.Packfile = io.NopCloser(pack)
	report, err := session.ReceivePack(ctx, request)
	if report == nil {
		if err == nil {
			err = fmt.Errorf("%w: it does not say what has become of it", ErrRefused)
		}
		return err
	}
	if report.UnpackStatus != "ok" {
		return fmt.Errorf("%w: %s", ErrRefused, report.UnpackStatus)
	}
	for _, status := range report.CommandStatuses {
		switch {
		case status.Status == "ok":
		case isRace(status.Status):
			return errMoved
		default:
			return fmt.Errorf("%w: %s", ErrRefused, status.Status)
		}
	}
	return nil
}

// isRace says whether git's words for a reference that was not moved mean that somebody else has just moved it. The
// branch was where it was expected a moment before.
func isRace(words string) bool {
	for _, part := range []string{"cannot lock ref", "failed to update ref", "fetch first", "non-fast-forward", "stale info", "failed to lock", "incorrect old value"} {
		if strings.Contains(words, part) {
			return true
		}
	}
	return false
}

func explain(err error) error {
	switch {
	case errors.Is(err, errMoved):
		return fmt.Errorf("others have pushed first, %d times", tries)
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed), errors.Is(err, transport.ErrInvalidAuthMethod):
		return ErrUnauthorized
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return ErrNotFound
	}
	return err
}
