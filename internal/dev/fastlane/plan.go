package fastlane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/hint"
)

// ignoreFiles decide what is source, so a change of one may change anything.
var ignoreFiles = []string{".gitignore", ".dockerignore", ".slipwayignore"}

// plan is what a batch of changes asks for.
type plan struct {
	build   bool              // whether the program must be built
	files   map[string]string // what must go into the pod: path in the container to path in the app's folder
	removed []string          // in the container
	restart bool
	why     string // why the batch cannot go this way; "" when it can
}

// sort decides which way the changed files can go. own are files, in the app's folder, that say what the app is; a change
// of these is for the chain, as is one of a file that is elsewhere, which is watched only since it says so, too.
func sort(dir string, files []string, rules []appfile.Sync, own []string) plan {
	p := plan{files: map[string]string{}}
	program := slices.ContainsFunc(rules, func(r appfile.Sync) bool { return r.Binary })
	for _, name := range files {
		if slices.Contains(own, name) || strings.HasPrefix(name, "../") || slices.Contains(ignoreFiles, path.Base(name)) {
			p.why = name + " changed"
			return p
		}
		matched := false
		for _, rule := range rules {
			target, matches := rule.Target(name)
			if !matches {
				continue
			}
			matched = true
			p.restart = p.restart || rule.Restarts()
			if why := p.add(dir, name, target); why != "" {
				p.why = why
				return p
			}
		}
		switch {
		case matched:
		case program:
			p.build = true
		default:
			p.why = "no sync rule is for " + name
			return p
		}
	}
	slices.Sort(p.removed)
	return p
}

// add notes where a file goes, and says why it cannot.
func (p *plan) add(dir, name, target string) string {
	info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.removed = append(p.removed, target)
	case err != nil:
		return err.Error()
	case !info.Mode().IsRegular():
		return name + " is no regular file"
	default:
		p.files[target] = name
	}
	return ""
}

// ownFiles are the files of an app that say what it is.
func ownFiles(app *appfile.App, workloadFile string) []string {
	own := []string{appfile.Name, workloadFile, app.WorkloadFile()}
	if d := app.Build.Dockerfile; d != nil {
		file := d.File
		if file == "" {
			file = path.Join(d.Context, "Dockerfile")
		}
		return append(own, file, "Dockerfile")
	}
	return append(own, "Dockerfile") // which may appear, and then is what is built
}

// systemFolders are not the app's to change.
var systemFolders = []string{"/proc", "/sys", "/dev", "/slipway"}

// folders are those in the container into which rules put files, without those that are in another of them.
func folders(rules []appfile.Sync) ([]string, error) {
	var all []string
	for _, rule := range rules {
		if rule.Binary {
			continue
		}
		folder := path.Clean(rule.To)
		if folder == "/" || slices.ContainsFunc(systemFolders, func(system string) bool { return inside(folder, system) }) {
			return nil, hint.Withf(fmt.Errorf("%s: files cannot be synced into %s", appfile.Name, rule.To),
				"name the app's own folder: all of it is copied into a volume, which takes its place")
		}
		all = append(all, folder)
	}
	slices.Sort(all)
	list := []string{}
	for _, folder := range slices.Compact(all) {
		if !slices.ContainsFunc(list, func(outer string) bool { return inside(folder, outer) }) {
			list = append(list, folder)
		}
	}
	return list, nil
}

// inside says whether a path is a folder or in it.
func inside(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
