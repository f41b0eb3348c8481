package direct

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// mostRead is of how many bytes a program's source is at most that a plan is made for: all of it is read for each save.
	mostRead = 32 << 20
	// largeFile is more than which a file must not have that is part of the program.
	largeFile = 4 << 20
)

// change is a file that is not as it was.
type change struct {
	name    string
	content []byte
	is      known // now
}

// readAll notes what the files are before the go command is asked, so that what it says is of the same.
func (p *Plan) readAll(ctx context.Context) error {
	read, total := map[string]sum{}, int64(0)
	for _, code := range []bool{true, false} { // which comes first: of a large source the rest may be no part of the program
		for _, name := range p.names {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := os.Lstat(p.source(name))
			if isCode(name) != code || err != nil || !info.Mode().IsRegular() || info.Size() > largeFile || total+info.Size() > mostRead {
				continue
			}
			total += info.Size()
			if read[name], err = sumOf(p.source(name)); err != nil {
				return err
			}
		}
	}
	p.read = read
	return nil
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

// deciding are files that say what a program is compiled with; some of them to those who stand before the go command.
var deciding = []string{"go.mod", "go.sum", "go.work", ".go-version", ".tool-versions", "mise.toml", ".mise.toml", ".envrc"}

// mirrorAll reads all that the go command reads of the source.
func (p *Plan) mirrorAll(ctx context.Context) error {
	for _, name := range p.names {
		switch base := path.Base(name); {
		case slices.Contains(deciding, base):
			p.fixed[name] = sum{}
		case name == path.Join(p.main().dir, "default.pgo"):
			return fmt.Errorf("%w: it is compiled by a profile", ErrUnfit)
		}
	}
	for _, one := range p.packages {
		for _, name := range one.all() {
			if !one.plain {
				p.fixed[name] = sum{}
				continue
			}
			if err := p.mirror(ctx, one, name); err != nil {
				return err
			}
		}
	}
	for name := range p.fixed {
		content, err := p.content(ctx, name)
		if err != nil {
			return err
		}
		p.fixed[name] = sha256.Sum256(content)
	}
	return p.lookBeside(ctx)
}

// mirror takes a file of a package into the plan.
func (p *Plan) mirror(ctx context.Context, one *pack, name string) error {
	content, err := p.content(ctx, name)
	if err != nil {
		return err
	}
	is := known{of: append(p.files[name].of, one), sum: sha256.Sum256(content)}
	if is.head, err = stays(is.of, name, content); err != nil {
		return err
	}
	return p.write(change{name, content, is})
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

// lookBeside reads what is in the packages' folders and not compiled, for this system or at all: in the heads of Go files it
// stands that they are not. Tests are among them, since the go command wants to know of which package they are.
func (p *Plan) lookBeside(ctx context.Context) error {
	folders := map[string]bool{}
	for _, one := range p.packages {
		folders[one.dir] = true
	}
	for _, name := range p.names {
		_, compiled := p.files[name]
		_, isFixed := p.fixed[name]
		if base := path.Base(name); compiled || isFixed || !folders[path.Dir(name)] || !isCode(name) || strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") {
			continue // it cannot come to be compiled
		}
		content, err := p.content(ctx, name)
		if err != nil {
			return err
		}
		if head, err := headOf(content); path.Ext(name) == ".go" && err == nil {
			p.heads[name] = head
		} else {
			p.fixed[name] = sha256.Sum256(content)
		}
	}
	return nil
}

// isCode says whether the go command may compile a file of this name.
func isCode(name string) bool {
	return path.Ext(name) == ".go" || slices.Contains(otherSources, path.Ext(name))
}

// otherSources are what else the go command looks at, as go/build has it.
var otherSources = []string{".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx", ".f", ".F", ".for", ".f90", ".s", ".S", ".sx", ".swig", ".swigcxx", ".syso"}

// content reads a file of the source, if it is one of those that are named.
func (p *Plan) content(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
	if err != nil || p.read == nil {
		return content, err
	}
	switch before, ok := p.read[name]; {
	case !ok:
		return nil, fmt.Errorf("%w: %s is large", ErrUnfit, name)
	case before != sha256.Sum256(content):
		return nil, fmt.Errorf("%w: %s", ErrMoved, name)
	}
	return content, nil
}

// write takes a file into the mirror. Until it is there as a whole the plan does not know what it is.
func (p *Plan) write(c change) error {
	unknown := c.is
	unknown.sum = sum{}
	p.files[c.name] = unknown
	file := p.mirrored(c.name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	if err := os.WriteFile(file, c.content, 0o600); err != nil {
		return fmt.Errorf("copying the source: %w", err)
	}
	p.files[c.name] = c.is
	return nil
}

// changes compares the source with the mirror. ErrUnfit says that it differs in more than what is below the heads.
func (p *Plan) changes(ctx context.Context, names []string) ([]change, error) {
	if err := p.sameAround(ctx, names); err != nil {
		return nil, err
	}
	var all []change
	for name, before := range p.files {
		content, err := p.content(ctx, name)
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
		all = append(all, change{name, content, known{of: before.of, head: head, sum: now}})
	}
	return all, nil
}

// sameAround makes sure that what decides about which files are compiled, and how, is as it was.
func (p *Plan) sameAround(ctx context.Context, names []string) error {
	if !slices.Equal(p.names, names) {
		return fmt.Errorf("%w: there are other files", ErrUnfit)
	}
	if same, err := p.tools.same(); err != nil || !same {
		return errors.Join(err, fmt.Errorf("%w: it is another Go, or has other settings", ErrUnfit))
	}
	for name, before := range p.fixed {
		if content, err := p.content(ctx, name); err != nil {
			return err
		} else if sha256.Sum256(content) != before {
			return fmt.Errorf("%w: %s", ErrUnfit, name)
		}
	}
	for name, before := range p.heads {
		content, err := p.content(ctx, name)
		if err != nil {
			return err
		}
		if head, err := headOf(content); err != nil {
			return err
		} else if head != before {
			return fmt.Errorf("%w: the imports of %s, or what is above them", ErrUnfit, name)
		}
	}
	return nil
}

// take takes changes into the mirror. Before a file changes there, what is compiled of it is stale: what is left half-done is
// not forgotten.
func (p *Plan) take(all []change) error {
	for _, c := range all {
		for _, one := range c.is.of {
			one.stale = true
		}
	}
	for _, c := range all {
		if err := p.write(c); err != nil {
			return err
		}
	}
	return nil
}
