package direct

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slipway.dev/slipway/internal/build/process"
)

// listed is what `go list -json` tells of a package, as far as it matters here.
type listed struct {
	Dir, ImportPath, Name, Export, DefaultGODEBUG string

	Standard, Incomplete bool

	Module *struct {
		Main      bool
		GoVersion string
	}
	GoFiles, EmbedFiles, EmbedPatterns, Imports []string
	ImportMap                                   map[string]string

	CgoFiles, CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles, SwigFiles, SwigCXXFiles, SysoFiles []string
}

// asked are the fields of listed.
const asked = "Dir,ImportPath,Name,Export,DefaultGODEBUG,Standard,Incomplete,Module,GoFiles,EmbedFiles,EmbedPatterns,Imports,ImportMap," +
	"CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles"

// others are the package's files that are neither Go nor embedded.
func (l *listed) others() []string {
	return slices.Concat(l.CgoFiles, l.CFiles, l.CXXFiles, l.MFiles, l.HFiles, l.FFiles, l.SFiles, l.SwigFiles, l.SwigCXXFiles, l.SysoFiles)
}

// ask asks the go command for its tools, and for the packages of the program.
func (p *Plan) ask(ctx context.Context) error {
	if err := p.askTools(ctx); err != nil {
		return err
	}
	output, err := p.goSays(ctx, slices.Concat([]string{"list", "-deps", "-export", "-json=" + asked}, p.query.Flags, []string{p.query.Main})...)
	if err != nil {
		return err
	}
	of := map[string]*pack{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("reading what go list said: %w", err)
		}
		if err := p.add(&one, of); err != nil {
			return err
		}
	}
	if len(p.packages) == 0 || !p.main().main {
		return fmt.Errorf("%w: go list tells of no main package", ErrUnfit)
	}
	return nil
}

// add takes a package into the plan; those that it imports are there.
func (p *Plan) add(l *listed, of map[string]*pack) error {
	switch {
	case l.ImportPath == "unsafe":
		return nil // the compiler knows it
	case l.Incomplete || l.Export == "":
		return fmt.Errorf("%w: %s is not compiled", ErrUnfit, l.ImportPath)
	case l.Standard || l.Module == nil || !l.Module.Main:
		if slices.ContainsFunc(l.Imports, func(name string) bool { return of[name] != nil }) {
			return fmt.Errorf("%w: %s, which is of another module, imports the source", ErrUnfit, l.ImportPath)
		}
		p.exports[l.ImportPath] = l.Export
		return nil
	case len(l.ImportMap) > 0:
		return fmt.Errorf("%w: %s has packages of other names than it imports", ErrUnfit, l.ImportPath)
	}
	inside, err := filepath.Rel(p.query.Dir, l.Dir)
	if err != nil || !filepath.IsLocal(inside) {
		return fmt.Errorf("%w: %s is not in the folder", ErrUnfit, l.ImportPath)
	}
	one := &pack{
		path: l.ImportPath, dir: filepath.ToSlash(inside), files: l.GoFiles, debug: l.DefaultGODEBUG, main: l.Name == "main", archive: l.Export,
		language: version.Lang("go" + l.Module.GoVersion), patterns: l.EmbedPatterns, plain: len(l.others()) == 0,
	}
	if one.language == "" {
		return fmt.Errorf("%w: go.mod names no version of Go", ErrUnfit)
	}
	for _, name := range l.EmbedFiles {
		one.embedded = append(one.embedded, filepath.ToSlash(name))
	}
	for _, name := range l.others() {
		p.fixed[path.Join(one.dir, name)] = sum{}
	}
	for _, name := range l.Imports {
		if imported := of[name]; imported != nil {
			imported.importers = append(imported.importers, one)
		}
	}
	if one.export, err = exportOf(one.archive); err != nil {
		return fmt.Errorf("reading %s: %w", one.path, err)
	}
	of[one.path] = one
	p.packages = append(p.packages, one)
	return nil
}

// askModules reads from a program what the linker is told about modules. It is framed as runtime/debug reads it.
func (p *Plan) askModules(program string) error {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return fmt.Errorf("reading what the program is made of: %w", err)
	}
	for _, setting := range info.Settings {
		if setting.Key == "-pgo" {
			return fmt.Errorf("%w: it is compiled by a profile", ErrUnfit)
		}
	}
	info.GoVersion = "" // which the linker writes elsewhere
	const start, end = "0w\xaf\x0c\x92t\x08\x02A\xe1\xc1\x07\xe6\xd6\x18\xe6", "\xf92C1\x86\x18 r\x00\x82B\x10A\x16\xd8\xf2"
	p.modules = start + info.String() + end
	return nil
}

// goSays runs the go command.
func (p *Plan) goSays(ctx context.Context, arguments ...string) ([]byte, error) {
	var complaint strings.Builder
	cmd := process.Command(ctx, p.query.Go, arguments...)
	cmd.Dir, cmd.Env, cmd.Stderr = p.query.Dir, p.query.Env, &complaint
	var said bytes.Buffer
	cmd.Stdout = &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("running go %s: %w\n%s", arguments[0], err, strings.TrimSpace(complaint.String()))
	}
	return said.Bytes(), nil
}
