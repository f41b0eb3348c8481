package ui_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// screen is a terminal that knows just the escape sequences that live progress uses, and fails the test on others.
type screen struct {
	t       *testing.T
	columns int

	mutex       sync.Mutex
	lines       [][]rune
	row, column int
	terminalState
}

type terminalState struct {
	cursorHidden, wrapOff, colored bool
	writes                         int
}

func newScreen(t *testing.T, columns int) *screen {
	return &screen{t: t, columns: columns, lines: [][]rune{nil}}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.writes++
	text := string(p)
	for text != "" {
		if rest, found := strings.CutPrefix(text, "\x1b["); found {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= 'A' && r <= 'z' })
			s.sequence(rest[:end+1])
			text = rest[end+1:]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		s.put(r)
		text = text[size:]
	}
	return len(p), nil
}

func (s *screen) sequence(seq string) {
	switch {
	case seq == "?25l", seq == "?25h":
		s.cursorHidden = seq == "?25l"
	case seq == "?7l", seq == "?7h":
		s.wrapOff = seq == "?7l"
	case seq == "K":
		s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
	case seq == "J":
		s.lines[s.row] = s.lines[s.row][:min(s.column, len(s.lines[s.row]))]
		s.lines = s.lines[:s.row+1]
	case strings.HasSuffix(seq, "A"):
		var up int
		if _, err := fmt.Sscanf(seq, "%dA", &up); err != nil || up > s.row {
			s.t.Errorf("cursor moves up by %q from row %d", seq, s.row)
			return
		}
		s.row -= up
	case strings.HasSuffix(seq, "m"):
		s.colored = true
	default:
		s.t.Errorf("unknown escape sequence %q", seq)
	}
}

func (s *screen) put(r rune) {
	switch r {
	case '\r':
		s.column = 0
		return
	case '\n':
		s.newline()
		return
	}
	if s.column >= s.columns {
		if s.wrapOff {
			s.t.Errorf("the line %q is wider than the terminal", string(s.lines[s.row]))
			return
		}
		s.newline()
	}
	line := s.lines[s.row]
	for len(line) <= s.column {
		line = append(line, ' ')
	}
	line[s.column] = r
	s.lines[s.row] = line
	s.column++
}

func (s *screen) newline() {
	s.row, s.column = s.row+1, 0
	if s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
}

func (s *screen) state() terminalState {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.terminalState
}

// text returns what is on the screen.
func (s *screen) text() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var lines []string
	for _, line := range s.lines {
		lines = append(lines, strings.TrimRight(string(line), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
