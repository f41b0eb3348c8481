package watch

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// largeFile is the size from which a file is told apart by size and time, since reading it on every save takes long.
const largeFile = 64 << 20

// everything stands for all paths.
const everything = "."

// content knows what is in all source files, by hash, and what was in them when the last batch was taken. It is used by
// one goroutine.
type content struct {
	watched  *watched
	watchAll func() ([]string, error)
	files    map[string]string // path to what tells its content apart
	given    map[string]string // what it was in the last batch, for those that are not so any more; "" for no file
}

// newContent reads all files. watchAll lists them, after it has made sure that all folders are watched.
func newContent(w *watched, watchAll func() ([]string, error)) (*content, error) {
	c := &content{watched: w, watchAll: watchAll, files: map[string]string{}, given: map[string]string{}}
	files, err := watchAll()
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		c.look(name)
	}
	for name := range w.also {
		c.look(name)
	}
	clear(c.given)
	return c, nil
}

// update looks at paths that were touched. One that is or was a folder stands for the files that are known in it. When
// an ignore file is among them, what is source is found anew. It says whether any is not what was known of it.
func (c *content) update(touched []string) (news bool) {
	if slices.Contains(touched, everything) || slices.ContainsFunc(touched, c.watched.changesRules) {
		return c.updateAll()
	}
	var folders []string
	for _, name := range touched {
		if _, known := c.files[name]; !known && !c.isFile(name) {
			folders = append(folders, name+"/")
			continue
		}
		news = c.look(name) || news
	}
	if len(folders) == 0 {
		return news
	}
	for known := range c.files {
		if slices.ContainsFunc(folders, func(folder string) bool { return strings.HasPrefix(known, folder) }) {
			news = c.look(known) || news
		}
	}
	return news
}

func (c *content) isFile(name string) bool {
	info, err := os.Lstat(c.watched.path(name))
	return err == nil && !info.IsDir()
}

func (c *content) updateAll() (news bool) {
	c.watched.rules.Reread()
	files, err := c.watchAll()
	if err != nil {
		files = nil // the directory is gone, which is waited for; what is known is looked at all the same
	}
	for _, name := range slices.Concat(files, slices.Collect(maps.Keys(c.files)), slices.Collect(maps.Keys(c.watched.also))) {
		news = c.look(name) || news
	}
	return news
}

// look compares a file with what is known of it, and says whether it is another.
func (c *content) look(name string) bool {
	before := c.files[name]
	now := ""
	if c.watched.isSource(name, false) {
		now = fingerprint(c.watched.path(name))
	}
	if now == before {
		return false
	}
	if now == "" {
		delete(c.files, name)
	} else {
		c.files[name] = now
	}
	given, differs := c.given[name]
	switch {
	case !differs:
		c.given[name] = before
	case given == now:
		delete(c.given, name)
	}
	return true
}

// changed are the files that are not what they were in the last batch, sorted.
func (c *content) changed() []string {
	var names []string
	for name := range c.given {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// take makes what is there now the last batch.
func (c *content) take() { clear(c.given) }

// fingerprint tells the content of a file apart from others, by type, permission to execute and content; "" means that there
// is no file.
func fingerprint(full string) string {
	info, err := os.Lstat(full)
	if err != nil || info.IsDir() {
		return ""
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(full)
		if err != nil {
			return ""
		}
		return "link " + target
	}
	if !info.Mode().IsRegular() {
		return "" // a socket, a pipe or a device, which reading would wait for
	}
	executable := info.Mode()&0o111 != 0
	if info.Size() >= largeFile {
		return fmt.Sprint("large ", executable, info.Size(), info.ModTime().UnixNano())
	}
	file, err := os.Open(full)
	if err != nil {
		return "unreadable"
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "unreadable"
	}
	return fmt.Sprint(executable, " ", string(hash.Sum(nil)))
}
