package ui

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// Streams are a command's input and outputs, and the facts about the terminal that decide how they are used. The
// facts are data, so that a test can pretend to be a terminal of any width.
type Streams struct {
	In  io.Reader
	Out io.Writer // results, and nothing else
	Err io.Writer // progress, notes and errors

	OutIsTerminal bool
	ErrIsTerminal bool
	// Dumb says that the terminal cannot move its cursor (TERM=dumb): progress is then plain lines.
	Dumb bool
	// NoColor says that the user wants none (NO_COLOR is set to anything but the empty string).
	NoColor bool
	// Columns and Lines are the terminal's size; 0 means unknown, which is taken as 80 and 24.
	Columns, Lines int

	// size asks the terminal again, because a user may resize it; nil in tests.
	size func() (columns, lines int)

	mutex   sync.Mutex // guards what follows
	restore func()     // gives the terminal's settings back; nil when they were not changed
}

// System returns the process's own streams.
func System() *Streams {
	s := &Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OutIsTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		ErrIsTerminal: term.IsTerminal(int(os.Stderr.Fd())),
		Dumb:          os.Getenv("TERM") == "dumb",
		NoColor:       os.Getenv("NO_COLOR") != "",
	}
	for _, file := range []*os.File{os.Stderr, os.Stdout} {
		if !term.IsTerminal(int(file.Fd())) {
			continue
		}
		if !understandsEscapes(file) {
			s.Dumb = true
		}
		s.size = func() (int, int) {
			columns, lines, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 0, 0
			}
			return columns, lines
		}
		break
	}
	return s
}

// Test returns streams that are no terminal, with the buffers that they write to. in is what the command reads.
func Test(in string) (s *Streams, out, errOut *bytes.Buffer) {
	out, errOut = &bytes.Buffer{}, &bytes.Buffer{}
	return &Streams{In: strings.NewReader(in), Out: out, Err: errOut}, out, errOut
}

// ColorOut says whether results may have colour.
func (s *Streams) ColorOut() bool { return s.OutIsTerminal && !s.Dumb && !s.NoColor }

// ColorErr says whether progress and errors may have colour.
func (s *Streams) ColorErr() bool { return s.ErrIsTerminal && !s.Dumb && !s.NoColor }

// Width is the terminal's width in columns, now; 80 when it is not known.
func (s *Streams) Width() int {
	columns, _ := s.dimensions()
	return columns
}

func (s *Streams) dimensions() (columns, lines int) {
	columns, lines = s.Columns, s.Lines
	if s.size != nil {
		columns, lines = s.size()
	}
	if columns <= 0 {
		columns = 80
	}
	if lines <= 0 {
		lines = 24
	}
	return columns, lines
}

// RestoreCursor makes the terminal what it was: the cursor visible, its settings the user's. It is for a process that is
// about to be killed or stopped in the middle of live progress; Display.Close does it otherwise.
func (s *Streams) RestoreCursor() {
	s.mutex.Lock()
	if s.restore != nil {
		s.restore()
	}
	s.mutex.Unlock()
	if s.ErrIsTerminal && !s.Dumb {
		_, _ = io.WriteString(s.Err, showCursor+wrapOn)
	}
}

// onRestore says how the terminal's settings are given back.
func (s *Streams) onRestore(restore func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.restore = restore
}
