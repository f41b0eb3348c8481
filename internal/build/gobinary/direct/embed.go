package direct

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
)

// embedding is what the compiler is told of a package's embedded files, in its own format: which files each pattern means,
// and where they are.
func (p *Plan) embedding(one *pack) ([]byte, error) {
	config := struct {
		Patterns map[string][]string
		Files    map[string]string
	}{map[string][]string{}, map[string]string{}}
	for _, name := range one.embedded {
		config.Files[name] = p.mirrored(path.Join(one.dir, name))
	}
	for _, pattern := range one.patterns {
		config.Patterns[pattern] = matching(pattern, one.embedded)
	}
	return json.Marshal(config)
}

// matching are those of a package's embedded files that are so by one of its patterns: those that it names, and all that is
// in the folders that it names, but for hidden files unless the pattern asks for them. See the package embed.
func matching(pattern string, files []string) []string {
	glob, hidden := strings.CutPrefix(pattern, "all:")
	var matched []string
	for _, file := range files {
		for named := file; named != "."; named = path.Dir(named) {
			if ok, err := path.Match(glob, named); ok && err == nil && (hidden || !hides(file[len(named):])) {
				matched = append(matched, file)
				break
			}
		}
	}
	slices.Sort(matched)
	return matched
}

// hides says whether a path below a folder is hidden, or below what is.
func hides(below string) bool { return strings.Contains(below, "/.") || strings.Contains(below, "/_") }
