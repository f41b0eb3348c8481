package dev

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/tree"
	"slipway.dev/slipway/internal/ui"
	"slipway.dev/slipway/registry"
)

// collectEvery is how often a session looks whether images take too much: a save every two seconds is 1 GB of a 3 MB
// program in that time.
const collectEvery = 10 * time.Minute

// prefetchLimit is how long the node may take for one image: a pod that needs it asks by itself by then.
const prefetchLimit = time.Minute

// beside is what a session does without keeping any run waiting.
type beside struct {
	life context.Context //nolint:containedctx // of the jobs
	end  context.CancelFunc
	// running ends before life does: nobody waits for what only makes a run quicker.
	running context.Context //nolint:containedctx // of the session's runs
	rest    context.CancelFunc
	jobs    sync.WaitGroup

	mutex      sync.Mutex // guards what follows
	collecting bool
	collected  time.Time // when that last began
	attached   map[attached]bool
}

// attached is a source that an image was seen to be built from.
type attached struct {
	image    string
	revision tree.Revision
}

// attach attaches to an image what the builder says of it, and what it was built from. It is for the time after the
// run, since reading the source takes a processor that the pod's start needs.
func (a *app) attach(image name.Digest, built *build.Result) {
	s, life := a.session, a.beside.life
	builtAt := time.Now()
	s.beside.jobs.Go(func() {
		err := s.attachAll(life, image, built, a.Dir, builtAt)
		if err != nil && life.Err() == nil {
			a.progress.Warn("The image runs, but what tells of it could not be attached: %v", err)
		}
	})
}

// prefetch has the node pull an image while the supply chain works on the rest.
func (s *session) prefetch(image name.Digest) {
	if s.Prefetch == nil {
		return
	}
	s.beside.jobs.Go(func() {
		ctx, cancel := context.WithTimeout(s.beside.running, prefetchLimit)
		defer cancel()
		_ = s.Prefetch(ctx, image.String()) // the pod pulls by itself
	})
}

func (s *session) attachAll(ctx context.Context, image name.Digest, built *build.Result, dir string, builtAt time.Time) error {
	revision, err := revisionOf(ctx, dir)
	if err != nil {
		return err
	}
	key := attached{image: image.DigestStr(), revision: revision}
	if !s.beside.first(key) {
		return nil
	}
	source := registry.Source{
		Location: revision.Origin, Revision: revision.Commit, Dirty: revision.Dirty, Time: builtAt,
	}
	if source.Location == "" {
		source.Location = absolute(dir)
	}
	_, err = s.pusher.AttachSource(ctx, image, source)
	for _, evidence := range built.Evidence {
		_, failed := s.pusher.Attach(ctx, image, evidence.MediaType, evidence.Content, nil)
		err = errors.Join(err, failed)
	}
	if err != nil {
		s.beside.again(key)
	}
	return err
}

// revisionOf is what git says of a folder; zero where it says nothing.
func revisionOf(ctx context.Context, dir string) (tree.Revision, error) {
	rules, err := tree.NewRules(dir)
	if err != nil {
		return tree.Revision{}, err
	}
	read, err := tree.Read(ctx, rules)
	if err != nil {
		return tree.Revision{}, err
	}
	revision, err := read.Revision(ctx)
	if errors.Is(err, tree.ErrNoRevision) {
		return tree.Revision{}, nil
	}
	return revision, err
}

// first says whether this is new.
func (b *beside) first(key attached) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.attached[key] {
		return false
	}
	if b.attached == nil {
		b.attached = map[attached]bool{}
	}
	b.attached[key] = true
	return true
}

// again takes back what first said.
func (b *beside) again(key attached) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	delete(b.attached, key)
}

// collect has old images removed, now and then.
func (s *session) collect(progress ui.Progress) {
	ctx := s.beside.life
	if s.Collect == nil || !s.beside.mayCollect(time.Now()) {
		return
	}
	s.beside.jobs.Go(func() {
		defer s.beside.endCollecting()
		said, err := s.Collect(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			progress.Warn("Removing old images: %v", err)
		case said != "":
			progress.Say("%s", said)
		}
	})
}

func (b *beside) mayCollect(now time.Time) bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.collecting || now.Sub(b.collected) < collectEvery {
		return false
	}
	b.collecting, b.collected = true, now
	return true
}

func (b *beside) endCollecting() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.collecting = false
}
