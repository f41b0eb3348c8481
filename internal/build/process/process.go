// Package process runs the programs that builders call, so that all of what they start ends with the build.
package process

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// endLimit is how long a program that was told to stop may keep its output open.
const endLimit = 2 * time.Second

// Command is a command whose whole process group ends with ctx: compilers and shells leave children behind otherwise.
func Command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.WaitDelay = endLimit
	endWithChildren(cmd)
	return cmd
}

// keptOutput is how much of what a program prints is kept for its error: the end of it, which says why.
const keptOutput = 64 << 10

// Output passes on what a program prints line by line, and keeps the end of it. It is safe for concurrent use.
type Output struct {
	Line func(string) // is told of each line that is not empty; nil is allowed

	mutex sync.Mutex
	kept  []byte
	rest  []byte // of a line whose end has not come
}

var _ io.Writer = (*Output)(nil)

func (o *Output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.kept = append(o.kept, p...)
	if len(o.kept) > 2*keptOutput {
		o.kept = append([]byte(nil), o.kept[len(o.kept)-keptOutput:]...)
	}
	o.rest = append(o.rest, p...)
	for {
		end := bytes.IndexAny(o.rest, "\r\n")
		if end < 0 {
			break
		}
		o.say(o.rest[:end])
		o.rest = o.rest[end+1:]
	}
	if len(o.rest) > keptOutput {
		o.say(o.rest)
		o.rest = nil
	}
	return len(p), nil
}

func (o *Output) say(line []byte) {
	if text := strings.TrimRight(string(line), " \t"); strings.TrimSpace(text) != "" && o.Line != nil {
		o.Line(text)
	}
}

// Text is the end of what was printed, trimmed; a last line without an end is passed on with it.
func (o *Output) Text() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.rest) > 0 {
		o.say(o.rest)
		o.rest = nil
	}
	return strings.TrimSpace(string(o.kept[max(0, len(o.kept)-keptOutput):]))
}
