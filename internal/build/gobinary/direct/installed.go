package direct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tools are the programs that do the work, of the Go that is installed.
type tools struct {
	compile, link string
	version       string // of Go
	env           []string
	files         []string // what tells of another Go, or of other settings of it, when it changes
	stamp         string   // of those files
}

// toolSettings are what the compiler and the linker read of the environment, which need not have what the user's file of
// settings says.
var toolSettings = []string{
	"GOOS", "GOARCH", "GOEXPERIMENT", "GOFIPS140", "GO386", "GOAMD64", "GOARM", "GOARM64", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64",
}

func (p *Plan) askTools(ctx context.Context) error {
	program, err := exec.LookPath(p.query.Go)
	if err != nil {
		return fmt.Errorf("looking for the go command: %w", err)
	}
	output, err := p.goSays(ctx, "env", "-json")
	if err != nil {
		return err
	}
	settings := map[string]string{}
	if err := json.Unmarshal(output, &settings); err != nil {
		return fmt.Errorf("asking go for its settings: %w", err)
	}
	for name, value := range p.query.Settings {
		if settings[name] != value {
			return fmt.Errorf("%w: the go command has another %s", ErrUnfit, name)
		}
	}
	suffix := ""
	if settings["GOHOSTOS"] == "windows" {
		suffix = ".exe"
	}
	folder, root := settings["GOTOOLDIR"], settings["GOROOT"]
	t := tools{
		compile: filepath.Join(folder, "compile"+suffix), link: filepath.Join(folder, "link"+suffix), version: settings["GOVERSION"],
		env: slices.Clone(p.query.Env),
	}
	for _, name := range toolSettings {
		if value, ok := settings[name]; ok {
			t.env = append(t.env, name+"="+value)
		}
	}
	t.files = []string{program, t.compile, t.link, filepath.Join(root, "VERSION"), filepath.Join(root, "go.env"), settings["GOENV"]}
	if t.stamp, err = stampOf(t.files); err != nil {
		return err
	}
	p.tools = t
	return nil
}

// same says whether Go is what it was.
func (t *tools) same() (bool, error) {
	stamp, err := stampOf(t.files)
	return stamp == t.stamp, err
}

// stampOf is another one when one of the files is. A file need not be there, and where it is a link, what counts is what that
// leads to.
func stampOf(files []string) (string, error) {
	var stamp strings.Builder
	for _, file := range files {
		real, err := filepath.EvalSymlinks(file)
		if file == "" || errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(&stamp, "%s: none\n", file)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("looking at Go: %w", err)
		}
		info, err := os.Stat(real)
		if err != nil {
			return "", fmt.Errorf("looking at Go: %w", err)
		}
		fmt.Fprintf(&stamp, "%s: %s %d %d\n", file, real, info.Size(), info.ModTime().UnixNano())
	}
	return stamp.String(), nil
}
