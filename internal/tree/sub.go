package tree

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Sub is the part of the tree that is in one of its folders, which becomes the root. Links that lead out of the folder
// are no part of it. A folder without files, or none, gives an empty tree.
func (t *Tree) Sub(folder string) (*Tree, error) {
	folder = path.Clean(folder)
	if !filepath.IsLocal(filepath.FromSlash(folder)) {
		return nil, fmt.Errorf("taking a part of the source: %s is not inside it", folder)
	}
	if folder == "." {
		return t, nil
	}
	out := *t
	out.root, out.Files, out.Odd = filepath.Join(t.root, filepath.FromSlash(folder)), nil, nil
	for _, f := range t.Files {
		name, inside := strings.CutPrefix(f.Name, folder+"/")
		switch {
		case !inside:
		case f.Link != "" && !staysInside(name, f.Link):
			out.Odd = append(out.Odd, name)
		default:
			f.Name = name
			out.Files = append(out.Files, f)
		}
	}
	for _, name := range t.Odd {
		if name, inside := strings.CutPrefix(name, folder+"/"); inside {
			out.Odd = append(out.Odd, name)
		}
	}
	return &out, nil
}
