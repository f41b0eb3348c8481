// Package wire is the language that `slipway dev` and the supervisor in a pod speak over a connection: lines of JSON,
// and after a change the bytes that it announces. It knows how a message is written and read, and what makes one wrong;
// what a message does is the business of its two ends.
package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Version is that of the language. Both ends come out of the same build of slipway, so another one means that the
// environment is older or newer than the command.
const Version = 1

// DefaultPort is where a supervisor takes changes, on its pod's loopback interface.
const DefaultPort = 36736

// TokenVariable is the environment variable that holds the token in the pod.
const TokenVariable = "SLIPWAY_SYNC_TOKEN"

// lineLimit bounds a line, in bytes: that is room for about 10,000 files in one change.
const lineLimit = 4 << 20

// helloLimit bounds the first line, which comes from somebody who has not said yet who he is.
const helloLimit = 4 << 10

// Hello is the first line of a connection, from the client.
type Hello struct {
	Version int    `json:"version"`
	Token   string `json:"token"`
}

// Change is what the client asks for. Its line is followed by the program's bytes, if there is a program, and then by
// those of the files, in their order.
type Change struct {
	ID      int      `json:"id"` // comes back in the events; 1 or more
	Program *Blob    `json:"program,omitempty"`
	Files   []File   `json:"files,omitempty"`
	Removed []string `json:"removed,omitempty"` // paths in the container
	Restart bool     `json:"restart,omitempty"` // a new program restarts anyway
}

// Blob is content that is announced by its size and hash.
type Blob struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // lower-case hex
}

// File is a file in the container.
type File struct {
	Path string `json:"path"` // absolute
	Mode uint32 `json:"mode"` // permission bits
	Blob
}

// Kinds of events.
const (
	Greeting  = "greeting"  // the answer to Hello: Program and Files are what was synced before
	Refused   = "refused"   // Message says why nothing was changed
	Applied   = "applied"   // the change is there; Restarted says whether the process was started anew for it
	Listening = "listening" // the new process accepts connections
	Silent    = "silent"    // nobody saw the new process, which runs, listen; Message says why
	Ended     = "ended"     // the process ended by itself: Code and Lines
)

// Event is a line of the supervisor.
type Event struct {
	Type      string            `json:"type"`
	ID        int               `json:"id,omitempty"` // of the change that it comes of; 0 means of none
	Version   int               `json:"version,omitempty"`
	Message   string            `json:"message,omitempty"`
	Program   string            `json:"program,omitempty"` // hash of the synced program; "" means that the image's runs
	Files     map[string]string `json:"files,omitempty"`   // hash of each synced file, by path; "" means that it was removed
	Running   bool              `json:"running,omitempty"`
	Restarted bool              `json:"restarted,omitempty"`
	Code      int               `json:"code,omitempty"`
	Lines     []string          `json:"lines,omitempty"` // the last that the process wrote
}

// Write writes a message and nothing after it.
func Write(to io.Writer, message any) error {
	line, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = to.Write(append(line, '\n'))
	return err
}

// ReadHello reads the first line of a client.
func ReadHello(from *bufio.Reader) (hello Hello, err error) {
	err = read(from, helloLimit, &hello)
	return hello, err
}

// ReadChange reads the line of a change and checks it; io.EOF (unwrapped) means that the client has gone. The bytes
// that follow are for the caller to read.
func ReadChange(from *bufio.Reader) (change Change, err error) {
	if err = read(from, lineLimit, &change); err != nil {
		return change, err
	}
	return change, change.check()
}

// ReadEvent reads a line of the supervisor.
func ReadEvent(from *bufio.Reader) (event Event, err error) {
	err = read(from, lineLimit, &event)
	return event, err
}

func read(from *bufio.Reader, limit int, into any) error {
	var line []byte
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > limit {
			return fmt.Errorf("a line has more than %d bytes", limit)
		}
		if err == nil {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("a line is not of this protocol: %w", err)
	}
	return nil
}

// check says what no good client sends.
func (c Change) check() error {
	if c.ID < 1 {
		return errors.New("a change has no number")
	}
	if c.Program != nil {
		if err := c.Program.check(); err != nil {
			return fmt.Errorf("the program: %w", err)
		}
	}
	seen := map[string]bool{}
	paths := c.Removed
	for _, file := range c.Files {
		if err := file.check(); err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
		if file.Mode&^0o777 != 0 {
			return fmt.Errorf("%s: its mode %o has more than permissions", file.Path, file.Mode)
		}
		paths = append(paths[:len(paths):len(paths)], file.Path)
	}
	for _, name := range paths {
		if !path.IsAbs(name) || path.Clean(name) != name || name == "/" || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%q is not an absolute path of a file", name)
		}
		if seen[name] {
			return fmt.Errorf("%s comes twice", name)
		}
		seen[name] = true
	}
	return nil
}

// sizeLimit bounds a blob, in bytes: a program that is larger is a mistake.
const sizeLimit = 2 << 30

func (b Blob) check() error {
	if b.Size < 0 || b.Size > sizeLimit {
		return fmt.Errorf("%d bytes is no size", b.Size)
	}
	if len(b.SHA256) != 64 || strings.Trim(b.SHA256, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no SHA-256", b.SHA256)
	}
	return nil
}
