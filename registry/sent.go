package registry

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
)

// Progress is how far a push is.
type Progress struct {
	Sent  int64 // bytes of blobs that have gone to the registry
	Total int64 // bytes of the blobs that are known to be missing there; it may still grow
}

// sending counts the bytes of one push, and tells.
type sending struct {
	sent, total, told atomic.Int64
	update            func(Progress) // nil: nobody listens
}

// tellEvery is how many bytes pass between two updates: some hundred updates a second over loopback.
const tellEvery = 4 << 20

func (s *sending) add(n int) {
	sent := s.sent.Add(int64(n))
	told := s.told.Load()
	if s.update != nil && sent-told >= tellEvery && s.told.CompareAndSwap(told, sent) {
		s.update(s.progress())
	}
}

func (s *sending) progress() Progress { return Progress{Sent: s.sent.Load(), Total: s.total.Load()} }

// sendingKey is where a push's context holds its *sending.
type sendingKey struct{}

// countingTransport counts what blobs send, for the push in whose name each request is made.
type countingTransport struct{ inner http.RoundTripper }

func (c countingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	s, ok := request.Context().Value(sendingKey{}).(*sending)
	if ok && request.Method == http.MethodPatch && request.Body != nil {
		s.total.Add(max(request.ContentLength, 0))
		counted := request.Clone(request.Context())
		counted.Body = &countedBody{ReadCloser: request.Body, sending: s}
		request = counted
	}
	return c.inner.RoundTrip(request)
}

func withSending(ctx context.Context, s *sending) context.Context {
	return context.WithValue(ctx, sendingKey{}, s)
}

type countedBody struct {
	io.ReadCloser
	sending *sending
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.sending.add(n)
	return n, err
}
