package direct

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"slipway.dev/slipway/internal/build/process"
)

// mostAtOnce is how many functions a compiler works on at once, where there are as many processors: what the go command gives
// each of several at least.
const mostAtOnce = 4

// compile compiles a package, as the go command does one of Go files alone, into an archive of the plan's.
func (p *Plan) compile(ctx context.Context, one *pack, archive string) error {
	imports := p.scratch("importcfg")
	if err := os.WriteFile(imports, []byte(p.archives(one)), 0o600); err != nil {
		return fmt.Errorf("compiling %s: %w", one.path, err)
	}
	name := one.path
	if one.main {
		name = "main"
	}
	dir := p.mirrored(one.dir)
	made := archive + ".new"
	arguments := []string{
		"-o", made, "-trimpath", dir + "=>" + one.path + ";" + p.source(one.dir) + "=>" + one.path, "-p", name, "-lang=" + one.language, "-complete", "-buildid", "direct/direct",
		"-goversion", p.tools.version, "-c=" + strconv.Itoa(min(mostAtOnce, runtime.GOMAXPROCS(0))), "-nolocalimports", "-importcfg", imports, "-pack",
	}
	if len(one.patterns) > 0 {
		embedding, err := p.embedding(one)
		if err == nil {
			err = os.WriteFile(p.scratch("embedcfg"), embedding, 0o600)
		}
		if err != nil {
			return fmt.Errorf("compiling %s: %w", one.path, err)
		}
		arguments = append(arguments, "-embedcfg", p.scratch("embedcfg"))
	}
	for _, file := range one.files {
		arguments = append(arguments, "./"+file)
	}
	if err := p.run(ctx, dir, nil, p.tools.compile, arguments); err != nil {
		return fmt.Errorf("compiling %s: %w", one.path, err)
	}
	if err := os.Rename(made, archive); err != nil {
		return fmt.Errorf("compiling %s: %w", one.path, err)
	}
	return nil
}

// link makes the program.
func (p *Plan) link(ctx context.Context, file string) error {
	main := p.main()
	imports := p.scratch("importcfg.link")
	content := p.archives(nil) + "modinfo " + strconv.Quote(p.modules) + "\n"
	if err := os.WriteFile(imports, []byte(content), 0o600); err != nil {
		return fmt.Errorf("linking: %w", err)
	}
	made := p.scratch("program.new")
	arguments := slices.Concat([]string{"-o", made, "-importcfg", imports, "-buildmode=exe"}, p.query.LDFlags)
	if main.debug != "" {
		arguments = append(arguments, "-X=runtime.godebugDefault="+main.debug)
	}
	arguments = append(arguments, main.archive)
	if err := p.run(ctx, p.query.Scratch, []string{"GOROOT="}, p.tools.link, arguments); err != nil {
		return fmt.Errorf("linking: %w", err)
	}
	if err := os.Rename(made, file); err != nil {
		return fmt.Errorf("linking: %w", err)
	}
	return nil
}

// archives are all archives but that of a package, in the form that the compiler and the linker read.
func (p *Plan) archives(but *pack) string {
	var lines strings.Builder
	for _, path := range slices.Sorted(maps.Keys(p.exports)) {
		fmt.Fprintf(&lines, "packagefile %s=%s\n", path, p.exports[path])
	}
	for _, one := range p.packages {
		if one != but {
			fmt.Fprintf(&lines, "packagefile %s=%s\n", one.path, one.archive)
		}
	}
	return lines.String()
}

// run runs a tool.
func (p *Plan) run(ctx context.Context, dir string, env []string, program string, arguments []string) error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := process.Command(ctx, program, arguments...)
	cmd.Dir, cmd.Env = absolute, slices.Concat(p.tools.env, env, []string{"PWD=" + absolute})
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(said.String()))
	}
	return nil
}
