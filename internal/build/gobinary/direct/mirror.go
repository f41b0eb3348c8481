package direct

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// mostRead is of how many bytes a program's source is at most that a plan is made for: all of it is read for each save.
const mostRead = 32 << 20

// news is a file that is not as it was.
type news struct {
	name    string
	content []byte
	is      file // now
}

// source is the path of a file of the source.
func (p *Plan) source(name string) string {
	return filepath.Join(p.query.Dir, filepath.FromSlash(name))
}

// mirrored is where the plan's copy of a file is. What is compiled is read there alone, so that an archive is of the
// content that the plan knows, whatever happens in the source meanwhile.
func (p *Plan) mirrored(name string) string {
	return filepath.Join(p.query.Scratch, "mirror", filepath.FromSlash(name))
}

// mirrorAll reads all that the go command reads of the source.
func (p *Plan) mirrorAll() error {
	for _, name := range p.names {
		// They change what is compiled with, and the profile in the main package how.
		if base := path.Base(name); base == "go.mod" || base == "go.sum" || base == "go.work" || base == "default.pgo" {
			p.fixed[name] = sum{}
		}
	}
	total := 0
	for _, one := range p.packages {
		for _, name := range one.all() {
			if !one.plain {
				p.fixed[name] = sum{}
				continue
			}
			content, err := p.read(name)
			if err != nil {
				return err
			}
			if total += len(content); total > mostRead {
				return fmt.Errorf("%w: it is large", ErrUnfit)
			}
			is := file{of: append(p.files[name].of, one), sum: sha256.Sum256(content)}
			if is.head, err = stays(is.of, name, content); err != nil {
				return err
			}
			if err := p.write(news{name, content, is}); err != nil {
				return err
			}
		}
	}
	for name := range p.fixed {
		content, err := p.read(name)
		if err != nil {
			return err
		}
		p.fixed[name] = sha256.Sum256(content)
	}
	return p.lookBeside()
}

// stays is what must stay of a file of these packages: of one that any of them compiles its head.
func stays(of []*pack, name string, content []byte) (string, error) {
	for _, one := range of {
		if slices.Contains(one.files, path.Base(name)) && path.Dir(name) == one.dir {
			return compiledHeadOf(content)
		}
	}
	return "", nil
}

// lookBeside reads the heads of files that are in the packages' folders and not compiled, for this system or at all: there
// it stands that they are not. Tests are among them, since the go command wants to know of which package they are.
func (p *Plan) lookBeside() error {
	folders := map[string]bool{}
	for _, one := range p.packages {
		folders[one.dir] = true
	}
	for _, name := range p.names {
		_, compiled := p.files[name]
		_, isFixed := p.fixed[name]
		if compiled || isFixed || !folders[path.Dir(name)] {
			continue
		}
		switch {
		case path.Ext(name) == ".go":
			content, err := p.read(name)
			if err != nil {
				return err
			}
			if p.heads[name], err = headOf(content); err != nil {
				return err
			}
		case slices.Contains(otherSources, path.Ext(name)):
			content, err := p.read(name)
			if err != nil {
				return err
			}
			p.fixed[name] = sha256.Sum256(content)
		}
	}
	return nil
}

// otherSources are what else the go command looks at, as go/build has it.
var otherSources = []string{".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".swig", ".swigcxx", ".syso"}

// read reads a file of the source, if it is one of those that are named.
func (p *Plan) read(name string) ([]byte, error) {
	if _, named := slices.BinarySearch(p.names, name); !named {
		return nil, fmt.Errorf("%w: %s is no source", ErrUnfit, name)
	}
	if info, err := os.Lstat(p.source(name)); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrUnfit, name)
	}
	content, err := os.ReadFile(p.source(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is gone", ErrUnfit, name)
	}
	return content, err
}

// write takes a file into the mirror.
func (p *Plan) write(n news) error {
	file := p.mirrored(n.name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	if err := os.WriteFile(file, n.content, 0o600); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	p.files[n.name] = n.is
	return nil
}

// news compares the source with the mirror. ErrUnfit says that it differs in more than what is below the heads.
func (p *Plan) news(names []string) ([]news, error) {
	if !p.hasAll(names) {
		return nil, fmt.Errorf("%w: there are other files", ErrUnfit)
	}
	for name, before := range p.fixed {
		if content, err := p.read(name); err != nil {
			return nil, err
		} else if sha256.Sum256(content) != before {
			return nil, fmt.Errorf("%w: %s", ErrUnfit, name)
		}
	}
	for name, before := range p.heads {
		content, err := p.read(name)
		if err != nil {
			return nil, err
		}
		if head, err := headOf(content); err != nil {
			return nil, err
		} else if head != before {
			return nil, fmt.Errorf("%w: the imports of %s, or what is above them", ErrUnfit, name)
		}
	}
	var all []news
	for name, before := range p.files {
		content, err := p.read(name)
		if err != nil {
			return nil, err
		}
		now := sha256.Sum256(content)
		if now == before.sum {
			continue
		}
		head, err := stays(before.of, name, content)
		if err != nil {
			return nil, err
		}
		if head != before.head {
			return nil, fmt.Errorf("%w: the imports of %s, what is above them, or what it embeds", ErrUnfit, name)
		}
		all = append(all, news{name, content, file{of: before.of, head: head, sum: now}})
	}
	compiled := 0
	for one := range affected(all) {
		if !one.plain {
			return nil, fmt.Errorf("%w: %s is not of Go files alone", ErrUnfit, one.path)
		}
		compiled++
	}
	if compiled > mostCompiled {
		return nil, fmt.Errorf("%w: %d packages", ErrUnproven, compiled)
	}
	return all, nil
}

// take takes news into the mirror. Before a file changes there, all that is compiled of it is stale: what is left half-done
// is not forgotten.
func (p *Plan) take(all []news) error {
	for one := range affected(all) {
		one.stale = true
	}
	for _, n := range all {
		if err := p.write(n); err != nil {
			return err
		}
	}
	return nil
}
