package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/pull"
	"slipway.dev/slipway/registry/events"
)

const (
	// followedField indexes Sources by what they follow on a server that tells of pushes: the server, and the server
	// with the repository.
	followedField = "slipway.dev/followed-source"
	// noStreamPause is how long a server that has no stream is left alone. It may be replaced by one that has.
	noStreamPause = 30 * time.Second
)

// stream turns the push events of one server, a registry or a git server, into wake-ups of the Sources that follow what
// was pushed. Sources are looked at every interval all the same. It is a Runnable of the manager, run by the leader alone.
type stream struct {
	url       string
	host      string
	transport http.RoundTripper
	// follows names the repository on this server that a Source follows; "" for none. tells says whether an event of
	// that repository can matter to the Source.
	follows func(source *v1alpha1.Source, host string) string
	tells   func(event events.Event, source *v1alpha1.Source) bool
	sources client.Reader
	wakes   chan<- event.GenericEvent
	log     *slog.Logger
}

// newStreams returns a stream for each of the servers that tell of pushes.
func newStreams(options Options, transports struct{ git, registry http.RoundTripper }) ([]*stream, error) {
	gitRepository := func(source *v1alpha1.Source, host string) string {
		return gitRepository(source, host, options.GitAliases)
	}
	repository := func(source *v1alpha1.Source, host string) string {
		return imageRepository(source, host, options.Aliases)
	}
	var all []*stream
	for _, one := range []*stream{
		{url: options.GitEventsURL, transport: transports.git, follows: gitRepository, tells: tellsOfGit},
		{url: options.EventsURL, transport: transports.registry, follows: repository, tells: tellsOfImage},
	} {
		if one.url == "" {
			continue
		}
		parsed, err := url.Parse(one.url)
		if err != nil {
			return nil, fmt.Errorf("reading an events URL: %w", err)
		}
		if parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
			return nil, fmt.Errorf("the events URL %q is not an http URL", one.url)
		}
		one.host, one.log = parsed.Host, options.Logger
		all = append(all, one)
	}
	return all, nil
}

// gitRepository is the name, on the git server host, of the repository that a Source follows.
func gitRepository(source *v1alpha1.Source, host string, aliases map[string]string) string {
	if source.Spec.Git == nil {
		return ""
	}
	parsed, err := url.Parse(source.Spec.Git.URL)
	if err != nil {
		return ""
	}
	if parsed.Host != host && aliases[parsed.Host] != host {
		return ""
	}
	return strings.TrimSuffix(strings.Trim(path.Clean(parsed.Path), "/"), ".git")
}

// tellsOfGit : a Source that follows a branch need not be told of others. What a tag or a range of versions means, and
// which branch a repository is on, any push may change.
func tellsOfGit(event events.Event, source *v1alpha1.Source) bool {
	ref := source.Spec.Git.Ref
	switch {
	case ref.Commit != "":
		return true // the commit may be there now
	case ref.Semver != "" || ref.Tag != "":
		return strings.HasPrefix(event.Tag, "refs/tags/")
	case ref.Branch != "":
		return event.Tag == "refs/heads/"+ref.Branch
	}
	return true
}

// imageRepository is the name, in the registry host, of the repository that a Source follows; "" for a digest, which is
// what it is.
func imageRepository(source *v1alpha1.Source, host string, aliases map[string]string) string {
	if source.Spec.Image == "" {
		return ""
	}
	target, err := pull.Parse(source.Spec.Image, aliases)
	if err != nil || target.Registry() != host {
		return ""
	}
	return target.Asked.Context().RepositoryStr()
}

// tellsOfImage : a tag matters to those that follow it, and a manifest to those that name it by its digest and may have
// asked for it too early.
func tellsOfImage(event events.Event, source *v1alpha1.Source) bool {
	if digest, is := digestOf(source.Spec.Image); is {
		return digest == event.Digest
	}
	if event.Tag == "" {
		return event.Action == events.Delete // with the tags that pointed there
	}
	tag, err := name.NewTag(source.Spec.Image)
	return err == nil && tag.TagStr() == event.Tag
}

// index is the field index of Sources by what they follow on the servers of streams.
func index(streams []*stream) client.IndexerFunc {
	return func(object client.Object) []string {
		source, is := object.(*v1alpha1.Source)
		if !is {
			return nil
		}
		for _, one := range streams {
			if repository := one.follows(source, one.host); repository != "" {
				return []string{one.host, one.host + "/" + repository}
			}
		}
		return nil
	}
}

// Start follows the stream until ctx ends.
func (s *stream) Start(ctx context.Context) error {
	quiet := false // one line for each time that the server goes away, not one for each attempt
	handler := events.Handler{
		Connected: func() {
			quiet = false
			s.log.Info("following push events for sources", "url", s.url)
			s.wake(ctx, s.host, nil) // some may have been missed
		},
		Disconnected: func(err error) {
			s.log.Info("push events have ended; sources are looked at in intervals until they are back", "url", s.url, "reason", err)
			quiet = true
		},
		Unreachable: func(err error) {
			if !quiet {
				s.log.Warn("push events cannot be reached; sources are looked at in intervals until they can", "url", s.url, "reason", err)
				quiet = true
			}
		},
		Event: func(event events.Event) { s.wake(ctx, s.host+"/"+event.Repository, &event) },
	}
	for {
		err := events.Follow(ctx, s.url, &http.Client{Transport: s.transport}, handler)
		if !errors.Is(err, events.ErrNoStream) {
			return nil // ctx has ended
		}
		if !quiet {
			s.log.Info("the server has no push events; sources are looked at in intervals", "url", s.url)
			quiet = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(noStreamPause):
		}
	}
}

// wake makes the controller look at the Sources under a value of the index, as far as what was pushed concerns them.
func (s *stream) wake(ctx context.Context, value string, pushed *events.Event) {
	var list v1alpha1.SourceList
	if err := s.sources.List(ctx, &list, client.MatchingFields{followedField: value}); err != nil {
		s.log.Error("finding the sources that a push concerns", "follow", value, "error", err)
		return
	}
	for i := range list.Items {
		if pushed != nil && !s.tells(*pushed, &list.Items[i]) {
			continue
		}
		select {
		case s.wakes <- event.GenericEvent{Object: &list.Items[i]}:
		case <-ctx.Done():
			return
		}
	}
}
