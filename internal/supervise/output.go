//go:build linux

package supervise

import (
	"io"
	"os"
	"sync"
)

// What is remembered of the program's output, for the message about its end.
const (
	keptLines = 20
	lineBytes = 2 << 10 // of a longer line the beginning is kept
)

// tail remembers the last lines that were written by one process.
type tail struct {
	mutex sync.Mutex
	lines []string
	half  map[*os.File][]byte // the line that each stream has begun
}

func newTail() *tail { return &tail{half: map[*os.File][]byte{}} }

func (t *tail) add(stream *os.File, text []byte) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	half := t.half[stream]
	for _, b := range text {
		switch {
		case b == '\n':
			t.push(string(half))
			half = half[:0]
		case len(half) < lineBytes:
			half = append(half, b)
		}
	}
	t.half[stream] = half
}

func (t *tail) push(line string) {
	t.lines = append(t.lines, line)
	if len(t.lines) > keptLines {
		t.lines = t.lines[len(t.lines)-keptLines:]
	}
}

// last returns the lines, with those that were not ended.
func (t *tail) last() []string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	for stream, half := range t.half {
		if len(half) > 0 {
			t.push(string(half))
			t.half[stream] = nil
		}
	}
	return append([]string(nil), t.lines...)
}

// pass copies what a process writes to the container's own stream, and remembers the end of it. The returned file is
// for the process; drained counts down when nobody holds it any more.
func (t *tail) pass(to *os.File, drained *sync.WaitGroup) (*os.File, error) {
	from, into, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	drained.Go(func() {
		defer from.Close()
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				t.add(to, buffer[:n])
				if _, err := to.Write(buffer[:n]); err != nil {
					_, _ = io.Copy(io.Discard, from) // the program must not hang since nobody reads its log
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	return into, nil
}
