// Package direct makes a Go program again with the compiler and the linker alone. Of a small rebuild the go command takes a
// third to find out that nothing else has changed, and more of a program with many packages; who watches the files knows it
// already. A Plan is what the go command said the program is made of. It is used only where it has once made the very bytes
// that the go command made, and only for changes that leave the rest of what the go command would find as it was: those
// below the imports of Go files, and those of embedded files. For everything else it gives up, and says so.
//
// It does not decide when the go command is run instead, and knows nothing of images.
package direct

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
)

var (
	// ErrUnfit says that a plan is not, or no longer, of the program that the source makes, or that there can be none.
	ErrUnfit = errors.New("no plan fits the source")
	// ErrUnproven says that what has changed is in a package for which the plan has not made the go command's bytes yet.
	ErrUnproven = errors.New("a package that was not compiled without the go command yet has changed")
	// ErrMoved says that the source has changed while it was learnt.
	ErrMoved = errors.New("the source has changed meanwhile")
	// ErrDiffers says that a plan does not make the bytes that the go command makes.
	ErrDiffers = errors.New("the program is not the one that the go command makes")
)

// mostCompiled is how many packages are compiled at most without the go command, which compiles several at once.
const mostCompiled = 16

// Query says which program is meant, and how the go command makes it.
type Query struct {
	Go      string   // the go command
	Dir     string   // the source, absolute and without symbolic links; its module is at the top
	Main    string   // the main package, as the go command is told
	Flags   []string // of the go command, with those that choose the files; the linker's must have -buildid=
	LDFlags []string // those of the linker
	Env     []string // the whole environment of the go command
	// Settings are what the go command says of its settings, as far as the rest of the query follows from them.
	Settings map[string]string
	Scratch  string // a folder of the plan's own; need not exist
}

// State is what a program was made of: two programs of one plan with the same State are the same. The zero value is that
// of a program of which this is not known.
type State string

// Plan is how one program is made. It is not safe for concurrent use.
type Plan struct {
	query    Query
	tools    tools
	names    []string          // of all that was source when it was learned, sorted
	fixed    map[string]sum    // files of the source that must stay as they are
	files    map[string]known  // those that are compiled or embedded, and may change
	heads    map[string]string // Go files that are not compiled, for what stands in their heads
	packages []*pack           // of the source, each after those that it imports; the last is main
	exports  map[string]string // archives of all other packages, by import path
	modules  string            // what the linker writes into the program about its modules
	// read is what the files were when the go command was asked, while it learns: what is read after that must be the same.
	read map[string]sum
}

// pack is a package of the source.
type pack struct {
	path      string   // of its import
	dir       string   // in the source, with slashes
	files     []string // its Go files, without the folder
	embedded  []string // its embedded files, without the folder and with slashes
	patterns  []string // what embeds them
	language  string   // such as go1.24
	debug     string   // the default of GODEBUG; of main packages
	main      bool
	plain     bool // whether it is made of nothing else
	proven    bool
	stale     bool // whether its archive is of other files than those of the mirror, or of other imports, or of a proof that failed
	archive   string
	compiled  bool    // whether that was made for a proof that is not over
	export    sum     // what the archive says to those who import the package
	importers []*pack // those that import it themselves
}

type sum [sha256.Size]byte

// known is a file as it was last seen, which is how it is in the mirror. An embedded one can be of several packages.
type known struct {
	of   []*pack
	head string // what must stay of it; "" of an embedded one
	sum  sum
}

// Learn asks the go command what the program is made of whose source has just the files of these names, sorted, and proves
// it on program, the file that the go command made of it.
func Learn(ctx context.Context, q Query, names []string, program string) (*Plan, error) {
	p := &Plan{query: q, names: names, fixed: map[string]sum{}, files: map[string]known{}, heads: map[string]string{}, exports: map[string]string{}}
	if err := os.RemoveAll(q.Scratch); err != nil {
		return nil, fmt.Errorf("making a folder for the plan: %w", err)
	}
	if err := p.readAll(ctx); err != nil {
		return nil, err
	}
	if err := p.ask(ctx); err != nil {
		return nil, err
	}
	if err := p.askModules(program); err != nil {
		return nil, err
	}
	if err := p.mirrorAll(ctx); err != nil {
		return nil, err
	}
	p.read = nil
	few := len(p.packages) <= mostCompiled
	for _, one := range p.packages {
		one.stale = one.plain && (few || one.main)
	}
	return p, p.prove(ctx, program)
}

// Prove has the plan make the program of the source as it is, and compares that with program. What is compiled for it is
// proven from then on.
func (p *Plan) Prove(ctx context.Context, names []string, program string) error {
	changes, err := p.changes(ctx, names)
	if err != nil {
		return err
	}
	if err := p.take(changes); err != nil {
		return err
	}
	return p.prove(ctx, program)
}

func (p *Plan) prove(ctx context.Context, program string) (err error) {
	if !p.main().plain {
		return fmt.Errorf("%w: %s is made of more than Go", ErrUnfit, p.main().path)
	}
	defer func() {
		for _, one := range p.packages {
			if one.compiled {
				one.proven, one.stale, one.compiled = err == nil, err != nil, false
			}
		}
	}()
	made := p.scratch("proof")
	defer os.Remove(made)
	if _, err := p.build(ctx, made, "", true); err != nil {
		return err
	}
	same, err := sameContent(made, program)
	if err != nil || same {
		return err
	}
	if changes, err := p.changes(ctx, p.names); err != nil || len(changes) > 0 {
		return errors.Join(ErrMoved, err)
	}
	return ErrDiffers
}

// Make makes the program of the source as it is, whose files have these names, sorted. have is what the file was made of
// that is there, and is kept where that is still so. Another error than ErrUnfit and ErrUnproven is the compiler's or the
// linker's; the go command says it better. The file is replaced as a whole, or left.
func (p *Plan) Make(ctx context.Context, names []string, file string, have State) (State, error) {
	changes, err := p.changes(ctx, names)
	if err != nil {
		return "", err
	}
	if err := p.take(changes); err != nil {
		return "", err
	}
	return p.build(ctx, file, have, false)
}

// State is what the program is made of that Make or Prove made last.
func (p *Plan) State() State {
	all := sha256.New()
	for _, one := range p.packages {
		for _, name := range one.all() {
			file := p.files[name]
			_, _ = all.Write(file.sum[:])
		}
	}
	return State(hex.EncodeToString(all.Sum(nil)))
}

// all are the names of its files in the source.
func (one *pack) all() []string {
	var names []string
	for _, name := range slices.Concat(one.files, one.embedded) {
		names = append(names, path.Join(one.dir, name))
	}
	return names
}

func (p *Plan) main() *pack { return p.packages[len(p.packages)-1] }

// scratch is a path in the plan's folder.
func (p *Plan) scratch(name string) string { return filepath.Join(p.query.Scratch, name) }

// build brings up to date what is stale, and links. Only to prove it compiles what is not proven.
func (p *Plan) build(ctx context.Context, file string, have State, proof bool) (State, error) {
	for i, one := range p.packages {
		if !one.stale {
			continue
		}
		switch {
		case !one.plain:
			return "", fmt.Errorf("%w: %s is made of more than Go", ErrUnfit, one.path)
		case !one.proven && !proof:
			return "", fmt.Errorf("%w: %s", ErrUnproven, one.path)
		case p.stale() > mostCompiled:
			return "", fmt.Errorf("%w: %d packages", ErrUnproven, p.stale())
		}
		archive := p.scratch(fmt.Sprintf("%d.a", i))
		if err := p.compile(ctx, one, archive); err != nil {
			return "", err
		}
		if err := p.renew(one, archive); err != nil {
			return "", err
		}
		one.compiled = proof
	}
	state := p.State()
	if state != have {
		if err := p.link(ctx, file); err != nil {
			return "", err
		}
	}
	return state, nil
}

// stale is how many packages are to be compiled, as far as that is known.
func (p *Plan) stale() int {
	count := 0
	for _, one := range p.packages {
		if one.stale {
			count++
		}
	}
	return count
}

// renew gives a package a new archive. Those that import it are stale where it says something else to them.
func (p *Plan) renew(one *pack, archive string) error {
	export, err := exportOf(archive)
	if err != nil {
		return fmt.Errorf("compiling %s: %w", one.path, err)
	}
	if export != one.export {
		for _, importer := range one.importers {
			importer.stale = true
		}
	}
	one.archive, one.export, one.stale = archive, export, false
	return nil
}

func sameContent(a, b string) (bool, error) {
	one, err := sumOf(a)
	if err != nil {
		return false, err
	}
	other, err := sumOf(b)
	return one == other, err
}

func sumOf(file string) (sum, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return sum{}, err
	}
	return sha256.Sum256(content), nil
}
