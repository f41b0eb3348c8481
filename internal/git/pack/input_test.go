package pack

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// ending gives out its content and its error together, and then says only that it has ended otherwise.
type ending struct {
	content []byte
	err     error
}

var errForgotten = errors.New("the error was asked for again")

func (e *ending) Read(to []byte) (int, error) {
	if e.content == nil {
		return 0, errForgotten
	}
	n, err := copy(to, e.content), e.err
	e.content = nil
	return n, err
}

// TestErrorWithTheLastBytes: what a server says when it gives up comes with the last data, once.
func TestErrorWithTheLastBytes(t *testing.T) {
	b := &builder{}
	b.blob([]byte("hello, world"))
	packed := b.pack()
	errServer := errors.New("the server has run out of memory")
	for name, test := range map[string]struct {
		content []byte
		err     error
		want    error // nil: it is stored
	}{
		"cut off by the server":   {packed[:20], errServer, errServer},
		"cut off without a word":  {packed[:20], io.EOF, io.ErrUnexpectedEOF},
		"whole":                   {packed, io.EOF, nil},
		"whole, but for an error": {packed, errServer, errServer},
	} {
		t.Run(name, func(t *testing.T) {
			stored, err := Store(t.Context(), t.TempDir(), &ending{bytes.Clone(test.content), test.err}, plenty)
			if !errors.Is(err, test.want) {
				t.Errorf("Store = %+v, %v; want %v", stored, err, test.want)
			}
		})
	}
}
