package appfile

import (
	"path"
	"strings"
)

// Target says whether a file, as a path in the app's folder with slashes, falls under the rule, and where it then goes
// in the container. Rules for the binary match no file.
func (s Sync) Target(file string) (string, bool) {
	if s.Binary || !matches(strings.Split(s.From, "/"), strings.Split(file, "/")) {
		return "", false
	}
	var fixed []string
	for segment := range strings.SplitSeq(s.From, "/") {
		if strings.ContainsAny(segment, `*?[\`) {
			return path.Join(s.To, strings.TrimPrefix(file, path.Join(fixed...))), true
		}
		fixed = append(fixed, segment)
	}
	return path.Join(s.To, path.Base(file)), true // one file, by its name
}

// matches compares segment by segment; ** stands for any number of them, also none.
func matches(pattern, segments []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(segments) + 1 {
				if matches(pattern[1:], segments[i:]) {
					return true
				}
			}
			return false
		}
		if len(segments) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], segments[0]); err != nil || !ok {
			return false
		}
		pattern, segments = pattern[1:], segments[1:]
	}
	return len(segments) == 0
}

// checkGlob says what is wrong with a pattern; "" when nothing is.
func checkGlob(pattern string) string {
	if !isLocal(pattern) {
		return "want a pattern of files in this folder"
	}
	wild := 0
	for segment := range strings.SplitSeq(pattern, "/") {
		if segment == "**" {
			wild++
			continue
		}
		if strings.Contains(segment, "**") {
			return "** must stand alone between slashes"
		}
		if _, err := path.Match(segment, ""); err != nil {
			return "the pattern has a bracket or a backslash too many"
		}
	}
	if wild > 2 {
		return "want at most two **"
	}
	return ""
}
