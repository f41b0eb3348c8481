// Package artifact knows source artifacts: it packs an archive as one, with Flux's media types, and fetches one as a pod
// or a stage of the cluster does: over HTTP, checked against its digest, and unpacked into a directory that nothing in it
// can leave. Which files are source, and pushing, is not its business.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

const (
	// DefaultMaxBytes is what an artifact may hold, unpacked.
	DefaultMaxBytes = 1 << 30
	// maxFiles bounds the number of its files and folders.
	maxFiles = 200_000
	// tries is how often a server that does not answer is asked: it may be restarting.
	tries = 5
)

// ErrTooLarge means that an artifact holds more than it may.
var ErrTooLarge = errors.New("the artifact is too large")

// ErrDigest means that an artifact is another one than was asked for.
var ErrDigest = errors.New("the artifact is not the one that was asked for")

// ErrRefused means that an artifact holds what none may, such as a name that leads out of it. It stays so.
var ErrRefused = errors.New("the artifact is not taken")

// StatusError means that a server answered, and not with the artifact.
type StatusError struct {
	Code   int    // such as 404
	Status string // such as "404 Not Found"
}

// Error says what the server answered.
func (e *StatusError) Error() string { return "the server answers " + e.Status }

// Redacted is a URL without the password that may be in it, for what people and logs read.
func Redacted(raw string) string {
	parsed, err := url.Parse(raw)
	if err != nil || parsed.User == nil {
		return raw
	}
	return parsed.Redacted()
}

// Source says where an artifact is.
type Source struct {
	URL string
	// Digest of the archive, as sha256: and hexadecimal digits; "" means the one that the URL names. An artifact of
	// which neither is known is taken as it comes.
	Digest string
	// MaxBytes is what it may hold, unpacked; 0 means DefaultMaxBytes.
	MaxBytes int64
	// Client sends the requests; nil means one of its own.
	Client *http.Client
}

var digestInURL = regexp.MustCompile(`sha256:[0-9a-f]{64}`)

// Named is the digest that a URL names, as those of blobs in a registry do; "" when it names none.
func Named(url string) string { return digestInURL.FindString(url) }

// Fetch unpacks an artifact into dir, which must be there. What it unpacked before an error stays: the caller is to throw
// the directory away.
func Fetch(ctx context.Context, source Source, dir string) error {
	if source.Digest == "" {
		source.Digest = Named(source.URL)
	}
	if source.MaxBytes == 0 {
		source.MaxBytes = DefaultMaxBytes
	}
	if source.Client == nil {
		source.Client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
		defer source.Client.CloseIdleConnections()
	}
	body, err := open(ctx, source)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", Redacted(source.URL), err)
	}
	defer body.Close()
	read := sha256.New()
	content := io.TeeReader(body, read)
	if err := Unpack(content, dir, source.MaxBytes); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) && sum(read) == source.Digest {
			err = fmt.Errorf("%w: the archive was cut off before it was stored: %w", ErrRefused, err)
		}
		return fmt.Errorf("unpacking %s: %w", Redacted(source.URL), err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(content, source.MaxBytes)); err != nil { // what the archive does not need
		return fmt.Errorf("fetching %s: %w", Redacted(source.URL), err)
	}
	if got := sum(read); source.Digest != "" && got != source.Digest {
		return fmt.Errorf("fetching %s: %w: its digest is %s, not %s", Redacted(source.URL), ErrDigest, got, source.Digest)
	}
	return nil
}

func sum(of hash.Hash) string { return "sha256:" + hex.EncodeToString(of.Sum(nil)) }

// open asks until the server answers; an answer that will not change is an error at once.
func open(ctx context.Context, source Source) (io.ReadCloser, error) {
	var last error
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, errors.Join(ctx.Err(), last)
			case <-time.After(time.Duration(try) * 500 * time.Millisecond):
			}
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, source.URL, nil)
		if err != nil {
			return nil, err
		}
		response, err := source.Client.Do(request)
		if err != nil {
			last = err
			continue
		}
		if response.StatusCode == http.StatusOK {
			return response.Body, nil
		}
		_ = response.Body.Close()
		last = &StatusError{Code: response.StatusCode, Status: response.Status}
		if response.StatusCode < http.StatusInternalServerError {
			return nil, last
		}
	}
	return nil, last
}
