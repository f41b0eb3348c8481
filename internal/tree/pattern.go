package tree

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is one line of an ignore file. Its syntax and meaning are those of gitignore(5), and like git's it works on
// bytes and is exact about case; see TestPatternsAsGit, which asks git.
type pattern struct {
	negated    bool // an exception: what it matches is source after all
	folderOnly bool // it ends with a slash
	base       bool // it has no slash but at its end, and is for the last part of a path in any folder

	literal    string         // for patterns without wildcards, and after the star of "*.log"
	suffix     bool           // the literal is the end of what matches
	expression *regexp.Regexp // for all others; nil: nothing matches
}

// parsePatterns reads an ignore file. Lines that can match nothing are left out.
func parsePatterns(content string) []pattern {
	var patterns []pattern
	content = strings.TrimPrefix(content, "\ufeff")
	for line := range strings.SplitSeq(content, "\n") {
		if p, ok := parsePattern(strings.TrimSuffix(line, "\r")); ok {
			patterns = append(patterns, p)
		}
	}
	return patterns
}

func parsePattern(line string) (pattern, bool) {
	var p pattern
	if strings.HasPrefix(line, "#") {
		return p, false
	}
	line = trimSpaces(line)
	line, p.negated = strings.CutPrefix(line, "!")
	line, p.folderOnly = strings.CutSuffix(line, "/")
	if line == "" {
		return p, false
	}
	p.base = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	const wildcards = `*?[\`
	if !strings.ContainsAny(line, wildcards) {
		p.literal = line
		return p, line != ""
	}
	if p.base && line[0] == '*' && !strings.ContainsAny(line[1:], wildcards) {
		p.literal, p.suffix = line[1:], true
		return p, true
	}
	source, ok := translate(line)
	if !ok {
		return p, false
	}
	expression, err := regexp.Compile(source)
	p.expression = expression
	return p, err == nil
}

// trimSpaces removes the spaces at the end, but not one that a backslash quotes.
func trimSpaces(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line):
			i++
			end = i + 1
		case line[i] != ' ':
			end = i + 1
		}
	}
	return line[:end]
}

// matches says whether the pattern is about a path, given relative to the folder of the ignore file.
func (p *pattern) matches(name string, folder bool) bool {
	if p.folderOnly && !folder {
		return false
	}
	if p.base {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	switch {
	case p.expression != nil:
		return p.expression.MatchString(bytewise(name))
	case p.suffix:
		return strings.HasSuffix(name, p.literal)
	}
	return name == p.literal
}

// bytewise makes a character of each byte, so that an expression sees bytes.
func bytewise(s string) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			runes := make([]rune, len(s))
			for i := range len(s) {
				runes[i] = rune(s[i])
			}
			return string(runes)
		}
	}
	return s
}

// translate makes a regular expression of a pattern: those take no more than linear time, whatever the pattern. It is
// false for a pattern that matches nothing, such as one with a bracket that is not closed.
func translate(glob string) (string, bool) {
	var out strings.Builder
	out.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); {
		switch c := glob[i]; c {
		case '*':
			stars := i
			for i < len(glob) && glob[i] == '*' {
				i++
			}
			alone := (stars == 0 || glob[stars-1] == '/') && (i == len(glob) || glob[i] == '/')
			switch {
			case i-stars < 2 || !alone:
				out.WriteString(`[^/]*`)
			case i == len(glob):
				out.WriteString(`.*`)
			default:
				out.WriteString(`(?:.*/)?`)
				i++
			}
		case '?':
			out.WriteString(`[^/]`)
			i++
		case '[':
			length := bracket(glob[i:], &out)
			if length == 0 {
				return "", false
			}
			i += length
		case '\\':
			i++
			if i == len(glob) {
				return "", false
			}
			fallthrough
		default:
			fmt.Fprintf(&out, `\x{%x}`, glob[i])
			i++
		}
	}
	out.WriteString(`\z`)
	return out.String(), true
}
