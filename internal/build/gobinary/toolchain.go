package gobinary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	gobuild "go/build"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build/process"
	"slipway.dev/slipway/internal/hint"
)

// toolchain is the user's go command and the settings of it that matter here.
type toolchain struct {
	program string
	flags   []string // GOFLAGS, wherever they come from
	all     string   // the same as it was said
	// workspace is GOWORK as it was found at first: a file, "off", or "" for none.
	workspace string
	temporary string // GOTMPDIR; "" where the user has no wish
}

func findToolchain(ctx context.Context, dir string) (*toolchain, error) {
	program, err := exec.LookPath("go")
	if err != nil {
		return nil, hint.With(errors.New("building needs the go command, and it is not in PATH"), "install Go from https://go.dev/dl")
	}
	var said, complaint bytes.Buffer
	cmd := process.Command(ctx, program, "env", "-json", "GOFLAGS", "GOWORK", "GOTMPDIR")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &complaint
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("asking go for its settings: %w\n%s", err, strings.TrimSpace(complaint.String()))
	}
	var settings struct{ GOFLAGS, GOWORK, GOTMPDIR string }
	if err := json.Unmarshal(said.Bytes(), &settings); err != nil {
		return nil, fmt.Errorf("asking go for its settings: %w", err)
	}
	return &toolchain{program: program, flags: strings.Fields(settings.GOFLAGS), all: settings.GOFLAGS, workspace: settings.GOWORK, temporary: settings.GOTMPDIR}, nil
}

// settings are what the go command said of what decides how a program is made.
func (t *toolchain) settings() map[string]string {
	return map[string]string{"GOFLAGS": t.all, "GOWORK": t.workspace}
}

// context is how the source files of a target are chosen.
func (t *toolchain) context(p v1.Platform, more []string) gobuild.Context {
	target := gobuild.Default
	target.GOOS, target.GOARCH, target.CgoEnabled = p.OS, p.Architecture, false
	if tags := t.flag("tags"); tags != "" {
		target.BuildTags = strings.Split(tags, ",")
	}
	target.BuildTags = append(target.BuildTags, more...)
	return target
}

// flag is the value of a flag in GOFLAGS, "" when it is not there.
func (t *toolchain) flag(name string) string {
	for _, flag := range t.flags {
		if value, ok := strings.CutPrefix(strings.TrimLeft(flag, "-"), name+"="); ok {
			return value
		}
	}
	return ""
}

// withoutID leaves the go command's build ID out of the program: it is of how the parts were compiled, and would be the only
// difference between what the go command makes and what a plan does.
const withoutID = "-buildid="

// ldflags are the linker's flags. The symbol table, which only debuggers read, is not made, unless the user's settings speak
// of the linker; nil where those are not slipway's.
func (t *toolchain) ldflags(config appfile.Go) []string {
	switch {
	case slices.ContainsFunc(config.LDFlags, func(flag string) bool {
		return strings.HasPrefix(strings.TrimLeft(flag, "-"), strings.TrimLeft(withoutID, "-"))
	}):
		return config.LDFlags
	case len(config.LDFlags) > 0:
		return append(slices.Clone(config.LDFlags), withoutID)
	case t.flag("ldflags") == "":
		return []string{"-s", "-w", withoutID}
	}
	return nil
}

// arguments of the build. What names this machine or its time stays out of the program.
func (t *toolchain) arguments(config appfile.Go) []string {
	arguments := []string{"build", "-trimpath", "-buildvcs=false"}
	if flags := t.ldflags(config); flags != nil {
		arguments = append(arguments, "-ldflags="+strings.Join(flags, " "))
	}
	if len(config.Tags) > 0 { // a flag wins over GOFLAGS, so that both must be in it
		tags := config.Tags
		if others := t.flag("tags"); others != "" {
			tags = append([]string{others}, tags...)
		}
		arguments = append(arguments, "-tags="+strings.Join(tags, ","))
	}
	return slices.Concat(arguments, config.Flags)
}

// elsewhere are flags of the go command that name files which may be anywhere, or that run other programs.
var elsewhere = []string{"C", "modfile", "overlay", "pgo", "toolexec"}

// alone says whether a build reads nothing that may change but what is in the folder: no module above it or beside it, and
// none that is vendored, which git may ignore. Where that is not certain, it is not so.
func (t *toolchain) alone(src *source, o order) bool {
	if !src.files["go.mod"] || t.workspace != "" && t.workspace != "off" {
		return false
	}
	for _, variable := range o.env {
		if strings.HasPrefix(variable, "GOFLAGS=") || strings.HasPrefix(variable, "GOWORK=") || strings.HasPrefix(variable, "GOENV=") {
			return false
		}
	}
	for _, flag := range slices.Concat(t.flags, o.arguments) {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if strings.HasPrefix(flag, "-") && slices.Contains(elsewhere, name) {
			return false
		}
	}
	if _, err := os.Lstat(filepath.Join(src.dir, "vendor")); err == nil {
		return false
	}
	for dir := src.dir; t.workspace == ""; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, "go.work")); err == nil {
			return false
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	module, err := os.ReadFile(filepath.Join(src.dir, "go.mod"))
	return err == nil && !replacesByFolder(module)
}

// replacesByFolder says whether a go.mod has a module from a folder: what is behind the arrow is then without a version.
func replacesByFolder(module []byte) bool {
	for line := range strings.Lines(string(module)) {
		line, _, _ = strings.Cut(line, "//")
		if _, by, found := strings.Cut(line, "=>"); found && (len(strings.Fields(by)) != 2 || strings.ContainsAny(by, "\"`")) {
			return true
		}
	}
	return false
}
