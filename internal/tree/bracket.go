package tree

import (
	"fmt"
	"strings"
)

// bracket translates the set of characters with which a pattern begins and returns how long it is; 0 for one that is
// not well-formed.
func bracket(glob string, out *strings.Builder) int {
	var set [256]bool
	i := 1
	negated := i < len(glob) && (glob[i] == '!' || glob[i] == '^')
	if negated {
		i++
	}
	previous := -1 // the character before, where a range can begin
	for first := true; ; first = false {
		if i >= len(glob) {
			return 0
		}
		if glob[i] == ']' && !first {
			break
		}
		var length int
		previous, length = member(glob[i:], previous, &set)
		if length == 0 {
			return 0
		}
		i += length
	}
	out.WriteString(`[`)
	any := false
	for c := range set {
		if set[c] != negated && c != '/' { // no set has the slash
			fmt.Fprintf(out, `\x{%x}`, c)
			any = true
		}
	}
	if !any {
		out.WriteString(`^\x{0}-\x{10ffff}`)
	}
	out.WriteString(`]`)
	return i + 1
}

// member adds to the set what stands at the beginning of glob: a character, a range's end, or a class. It returns the
// character, -1 where none can begin a range, and how long it is; 0 for one that is not well-formed.
func member(glob string, previous int, set *[256]bool) (begins, length int) {
	switch {
	case glob[0] == '\\':
		if len(glob) < 2 {
			return -1, 0
		}
		set[glob[1]] = true
		return int(glob[1]), 2
	case glob[0] == '-' && previous >= 0 && len(glob) > 1 && glob[1] != ']':
		end := 1
		if glob[1] == '\\' {
			end = 2
		}
		if end >= len(glob) {
			return -1, 0
		}
		for c := previous; c <= int(glob[end]); c++ {
			set[c] = true
		}
		return -1, end + 1
	case strings.HasPrefix(glob, "[:"):
		close := strings.IndexByte(glob[2:], ']')
		if close < 0 {
			return -1, 0
		}
		if name, ok := strings.CutSuffix(glob[2:2+close], ":"); ok {
			return -1, class(name, set, 2+close+1)
		}
	}
	set[glob[0]] = true
	return int(glob[0]), 1
}

// classes are POSIX's, in ASCII.
var classes = map[string]func(c byte) bool{
	"alnum":  func(c byte) bool { return isLetter(c) || isDigit(c) },
	"alpha":  isLetter,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < 0x20 || c == 0x7f },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  func(c byte) bool { return 'a' <= c && c <= 'z' },
	"print":  func(c byte) bool { return isGraph(c) || c == ' ' },
	"punct":  func(c byte) bool { return isGraph(c) && !isLetter(c) && !isDigit(c) },
	"space":  func(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' },
	"upper":  func(c byte) bool { return 'A' <= c && c <= 'Z' },
	"xdigit": func(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' },
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isGraph(c byte) bool  { return 0x20 < c && c < 0x7f }

func class(name string, set *[256]bool, length int) int {
	has, known := classes[name]
	if !known {
		return 0
	}
	for c := range set {
		if has(byte(c)) {
			set[c] = true
		}
	}
	return length
}
