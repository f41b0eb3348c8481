package fastlane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"slipway.dev/slipway/internal/supervise/wire"
)

// client is a connection to the supervisor in a pod. Changes come one after the other.
type client struct {
	connection io.ReadWriteCloser
	greeting   wire.Event
	events     chan wire.Event // of the change that is under way
	gone       chan struct{}   // is closed when the connection is lost, after err was set
	err        error

	mutex sync.Mutex // guards what follows
	busy  bool       // whether somebody takes events
	last  int        // the number of the last change
	// unasked is told of what comes when no change is under way; nil is allowed.
	unasked func(wire.Event)
}

// blob is content that goes to a pod.
type blob struct {
	wire.Blob
	open func() (io.ReadCloser, error)
}

// file is a file that goes to a pod.
type file struct {
	path string // in the container
	mode uint32
	blob
}

// change is what a pod is to get.
type change struct {
	program *blob
	files   []file
	removed []string
	restart bool
}

func (c change) empty() bool { return c.program == nil && len(c.files) == 0 && len(c.removed) == 0 }

// newClient shows the token and waits for the greeting. The connection is closed when that fails.
func newClient(ctx context.Context, connection io.ReadWriteCloser, token string, unasked func(wire.Event)) (*client, error) {
	c := &client{connection: connection, events: make(chan wire.Event, 8), gone: make(chan struct{}), unasked: unasked}
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	from := bufio.NewReader(connection)
	err := wire.Write(connection, wire.Hello{Version: wire.Version, Token: token})
	if err == nil {
		c.greeting, err = wire.ReadEvent(from)
	}
	if err == nil && c.greeting.Type != wire.Greeting {
		err = errors.New("the supervisor refuses: " + c.greeting.Message)
	}
	if err != nil {
		_ = connection.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	go c.read(from)
	return c, nil
}

func (c *client) close() { _ = c.connection.Close() }

// alive says whether the connection was not lost, as far as is known.
func (c *client) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

func (c *client) read(from *bufio.Reader) {
	for {
		event, err := wire.ReadEvent(from)
		if err != nil {
			c.err = err
			close(c.gone)
			return
		}
		c.mutex.Lock()
		busy, unasked := c.busy, c.unasked
		c.mutex.Unlock()
		switch {
		case busy:
			select {
			case c.events <- event:
			default: // no change has that many
			}
		case unasked != nil:
			unasked(event)
		}
	}
}

// CrashError says that a program that was synced has ended by itself.
type CrashError struct {
	Pod   string
	Code  int      // as a shell says it
	Lines []string // the last that it wrote
}

// Summary is the error without the lines.
func (e *CrashError) Summary() string {
	return fmt.Sprintf("pod %s: the synced program ended with exit code %d", e.Pod, e.Code)
}

// Error is the summary, and below it the lines.
func (e *CrashError) Error() string {
	text := e.Summary() + "; its last lines:"
	if len(e.Lines) == 0 {
		return text + "\n  (it wrote nothing)"
	}
	return text + "\n  " + strings.Join(e.Lines, "\n  ")
}

// outcome is what came of a change.
type outcome struct {
	restarted bool
	silent    string // why it is not known that the program listens; "" when it does, or did not restart
}

// send makes a change and waits until the pod has it and, if the process was started anew, until that listens. A
// *CrashError says that it ended instead. After an error the connection is of no more use, but for a crash and a refusal.
func (c *client) send(ctx context.Context, what change) (outcome, error) {
	c.mutex.Lock()
	c.busy = true
	c.last++
	id := c.last
	c.mutex.Unlock()
	defer func() {
		c.mutex.Lock()
		c.busy = false
		c.mutex.Unlock()
	}()
	for len(c.events) > 0 {
		<-c.events
	}
	stop := context.AfterFunc(ctx, c.close)
	defer stop()
	if err := c.write(id, what); err != nil {
		c.close()
		return outcome{}, c.because(ctx, err)
	}
	return c.await(ctx, id)
}

var errRefused = errors.New("the supervisor refuses")

func (c *client) await(ctx context.Context, id int) (outcome, error) {
	var result outcome
	applied := false
	for {
		var event wire.Event
		select {
		case event = <-c.events:
		case <-c.gone:
			return result, c.because(ctx, c.err)
		}
		switch {
		case event.Type == wire.Ended && applied:
			return result, &CrashError{Code: event.Code, Lines: event.Lines}
		case event.ID != id:
		case event.Type == wire.Refused:
			return result, fmt.Errorf("%w: %s", errRefused, event.Message)
		case event.Type == wire.Applied:
			applied, result.restarted = true, event.Restarted
			if !event.Restarted {
				return result, nil
			}
		case event.Type == wire.Silent:
			result.silent = event.Message
			return result, nil
		case event.Type == wire.Listening:
			return result, nil
		}
	}
}

// because prefers the caller's own reason to what comes of it.
func (c *client) because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("speaking with the supervisor: %w", err)
}

// write sends the line of a change and its bytes.
func (c *client) write(id int, what change) error {
	to := bufio.NewWriterSize(c.connection, 1<<20)
	line := wire.Change{ID: id, Removed: what.removed, Restart: what.restart}
	var blobs []blob
	if what.program != nil {
		line.Program = &what.program.Blob
		line.Restart = true
		blobs = append(blobs, *what.program)
	}
	for _, f := range what.files {
		line.Files = append(line.Files, wire.File{Path: f.path, Mode: f.mode, Blob: f.Blob})
		blobs = append(blobs, f.blob)
	}
	if err := wire.Write(to, line); err != nil {
		return err
	}
	for _, b := range blobs {
		if err := b.write(to); err != nil {
			return err
		}
	}
	return to.Flush()
}

// write copies exactly as many bytes as were announced: a file may have been saved again meanwhile, and then the hash
// tells.
func (b blob) write(to io.Writer) error {
	from, err := b.open()
	if err != nil {
		return err
	}
	defer from.Close()
	written, err := io.Copy(to, io.LimitReader(from, b.Size))
	if err == nil && written < b.Size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
