package client

import (
	"context"
	"io"
)

// Connect begins a session with open while ctx lasts. go-git connects over ssh without a context: a server that accepts
// and says nothing is left to itself when ctx ends, and a session that it then begins is closed.
func Connect[S io.Closer](ctx context.Context, open func() (S, error)) (S, error) {
	type outcome struct {
		session S
		err     error
	}
	done := make(chan outcome)
	go func() {
		session, err := open()
		select {
		case done <- outcome{session, err}:
		case <-ctx.Done():
			if err == nil {
				_ = session.Close()
			}
		}
	}()
	select {
	case got := <-done:
		return got.session, got.err
	case <-ctx.Done():
		var none S
		return none, ctx.Err()
	}
}
