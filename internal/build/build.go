// Package build says what it means to make an image out of a source directory. The builders are in the packages
// below it, one for each way of building; pushing the image is not their business.
package build

import (
	"context"
	"errors"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/tree"
)

// Builder makes images. Builds of one Builder must not overlap.
type Builder interface {
	// Build makes the image of what is in the directory now. The same tree gives the same digest, on any machine, as
	// far as the programs that it runs allow it: each builder says what it promises. It ends early, leaving nothing
	// running, when ctx ends. ErrNothingToBuild (wrapped) says that the directory is not for this builder, and a
	// *SourceError that the source is wrong.
	Build(ctx context.Context, r Request) (*Result, error)
	// Close removes what the builder keeps between builds.
	Close() error
}

// Beginner is a Builder that can begin before it is certain that there is something to build.
type Beginner interface {
	Builder
	// Begins says whether Begin can begin anything now. It does no I/O.
	Begins() bool
	// Begin begins to build what is in the directory now, and does not wait for the end of that, for which ended is
	// closed; nil says that nothing was begun. The Build that comes next goes on with it if its request has the same Mark
	// and asks for the same. Any other ends it, and so do the next Begin, Close, and the end of ctx. Begin must not
	// overlap a Build.
	Begin(ctx context.Context, r Request) (ended <-chan struct{})
}

// Learner is a Builder that can learn from a build how to do the next ones with less.
type Learner interface {
	Builder
	// Learn uses the time until the next build for that, and does not wait for its end, for which ended is closed; nil says
	// that there is nothing to learn. The next Build or Begin ends it, and so do Close and the end of ctx. Learn must not
	// overlap a Build or a Begin.
	Learn(ctx context.Context) (ended <-chan struct{})
}

// Request says what to build.
type Request struct {
	Dir      string      // the source directory
	Name     string      // of the program in the image; the workload's name
	Platform v1.Platform // of the node that is to run the image
	// Source is what of Dir is source, read just now; nil means that the builder reads it itself. A builder uses no
	// other file of Dir, but for commands of the user's, which run in Dir and see all of it.
	Source *tree.Tree
	// Registry is the environment's registry, such as localhost:5000, where bases are looked for first; "" means none.
	Registry string
	// Main chooses one of several main packages, as a path in Dir such as "./cmd/server"; "" means the only one.
	Main string
	// Env are environment variables for the programs that the builder runs, or arguments of a Dockerfile; they win over
	// those that slipway.yaml has. The static builder runs none.
	Env map[string]string
	// Mark is the same in the request of a Begin and in the one of a Build that follows it, where nothing in Dir was
	// touched in between; 0 for a Build that nothing was begun for.
	Mark uint64
	// Fresh has the builder forget what it has learnt from its own builds. What the programs keep that it runs stays.
	Fresh bool
	// Update is told what is being done, in words, and what programs say meanwhile, line by line; nil is allowed.
	Update func(what string)
}

// Say calls Update, if there is one.
func (r Request) Say(what string) {
	if r.Update != nil {
		r.Update(what)
	}
}

// Tree is Source, or what is read now, by the rules of Dir's ignore files; ignored are further paths that do not count.
func (r Request) Tree(ctx context.Context, ignored ...string) (*tree.Tree, error) {
	if r.Source != nil {
		return r.Source, nil
	}
	rules, err := tree.NewRules(r.Dir, ignored...)
	if err != nil {
		return nil, err
	}
	return tree.Read(ctx, rules)
}

// Result is what a build made.
type Result struct {
	Image v1.Image // its layers stay readable until the next Build, or Close
	// Evidence is what the builder can say about the image. It belongs beside the image, as referrers, not in it.
	Evidence []Evidence
	// Base is the image that Image stands on; nil where that can only change with the source, or is not known.
	Base *Base
	// Bases are the images that went into Image, each of which may change by itself, where the builder does not know on
	// which of them Image stands. Base is none of them.
	Bases []Base
	// Program is the compiled program; nil where the builder does not know of one.
	Program *Program
}

// Base is a base image.
type Base struct {
	Name   string // as the source says it
	Digest string // what the name meant, on the image's platform; of one in an engine its id
	Engine string // the id of the Docker engine that has it; "" for one of a registry
}

// Evidence is a document about an image.
type Evidence struct {
	MediaType string // such as application/spdx+json
	Content   []byte
}

// Program is an executable that a builder compiled.
type Program struct {
	File string // on this machine; stays until the next Build, or Close
	Path string // in the container
}

// ErrNothingToBuild means that a directory holds nothing that a builder knows how to build.
var ErrNothingToBuild = errors.New("nothing here builds")

// SourceError is a mistake in the source: what the compiler says.
type SourceError struct {
	Command string // such as "go build ./cmd/server"
	Output  string // of the compiler, trimmed
}

// Error begins with the command; the compiler's lines follow it.
func (e *SourceError) Error() string { return e.Command + ":\n" + e.Output }

// Summary is the error in one line: the compiler's first complaint.
func (e *SourceError) Summary() string {
	for line := range strings.SplitSeq(e.Output, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return e.Command + " did not succeed"
}
