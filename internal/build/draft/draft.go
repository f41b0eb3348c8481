// Package draft writes the first slipway.yaml and workload.yaml of an app, out of what is found in its folder. It gives
// out their content; who asked for it writes the files, or does not.
package draft

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build/choose"
	"slipway.dev/slipway/internal/build/gobinary"
	"slipway.dev/slipway/internal/build/staticsite"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

// defaultPort is where the chains of the profiles expect an app to listen.
const defaultPort = "8080"

// Draft is what an app's files should say.
type Draft struct {
	Why      string // how the builder was found
	App      []byte // slipway.yaml
	Workload []byte // workload.yaml
	Name     string // of the workload
}

// Make drafts the files for a folder. kind chooses the builder; "" finds it, and an error that wraps
// build.ErrNothingToBuild says that there is none to find. name is the workload's; "" takes the folder's.
func Make(ctx context.Context, dir string, platform v1.Platform, kind choose.Kind, name string) (*Draft, error) {
	rules, err := tree.NewRules(dir)
	if err != nil {
		return nil, err
	}
	files, err := tree.Read(ctx, rules)
	if err != nil {
		return nil, err
	}
	choice, err := pick(files, platform, kind)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = nameOf(files.Root())
	}
	if wrong := checkName(name); wrong != "" {
		return nil, hint.With(fmt.Errorf("the workload's name %q %s", name, wrong), "choose one with --workload-name")
	}
	say := &facts{Kind: choice.Kind, Comment: choice.Explain(), Name: name, Port: defaultPort}
	if err := say.look(files, choice, platform); err != nil {
		return nil, err
	}
	draft := &Draft{Why: choice.Explain(), Name: name}
	if draft.App, err = fill(appText, say); err != nil {
		return nil, err
	}
	if draft.Workload, err = fill(workloadText, say); err != nil {
		return nil, err
	}
	// What is written must be what is read.
	if _, err := appfile.Parse(appfile.Name, draft.App); err != nil {
		return nil, fmt.Errorf("drafting %s: %w", appfile.Name, err)
	}
	return draft, nil
}

func pick(files *tree.Tree, platform v1.Platform, kind choose.Kind) (choose.Choice, error) {
	if kind == "" {
		return choose.Detect(&appfile.App{}, files, platform, "")
	}
	return choose.Choice{Kind: kind, Why: "it was asked for"}, nil
}

// facts are what the texts below are filled with.
type facts struct {
	Kind     choose.Kind
	Comment  string
	Name     string
	Port     string
	Main     string   // of Go; "" is the only one
	Others   []string // further main packages
	Folder   string   // of a site
	Syntax   bool     // whether the Dockerfile asks for a frontend of its own
	Expected bool     // whether the port was found, and not assumed
}

func (f *facts) look(files *tree.Tree, choice choose.Choice, platform v1.Platform) error {
	switch choice.Kind {
	case choose.Go:
		mains := gobinary.Mains(files, platform)
		if len(mains) > 0 && mains[0] != "." {
			f.Main, f.Others = mains[0], mains[1:]
		}
	case choose.Static:
		f.Folder, _ = staticsite.Find(files)
		f.Folder = cmp.Or(f.Folder, "public")
	case choose.Dockerfile:
		content, err := os.ReadFile(filepath.Join(files.Root(), "Dockerfile"))
		if err != nil {
			return fmt.Errorf("reading the Dockerfile: %w", err)
		}
		f.readDockerfile(content)
	}
	return nil
}

var (
	exposed  = regexp.MustCompile(`(?i)^\s*EXPOSE\s+([0-9]+)(?:/tcp)?(?:\s|$)`)
	frontend = regexp.MustCompile(`(?i)^#\s*syntax\s*=`)
)

// readDockerfile looks for the port of the last EXPOSE, which is of the stage that runs.
func (f *facts) readDockerfile(content []byte) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	for first := true; lines.Scan(); first = false {
		if first {
			f.Syntax = frontend.MatchString(lines.Text())
		}
		if found := exposed.FindStringSubmatch(lines.Text()); found != nil {
			f.Port, f.Expected = found[1], true
		}
	}
}

func fill(text *template.Template, f *facts) ([]byte, error) {
	var out bytes.Buffer
	if err := text.Execute(&out, f); err != nil {
		return nil, fmt.Errorf("drafting: %w", err)
	}
	return out.Bytes(), nil
}

// nameOf makes a workload's name out of a folder's.
func nameOf(dir string) string {
	var name strings.Builder
	for _, r := range strings.ToLower(filepath.Base(dir)) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			name.WriteRune(r)
		} else if !strings.HasSuffix(name.String(), "-") {
			name.WriteByte('-')
		}
	}
	made := strings.TrimLeft(name.String(), "-0123456789")
	if len(made) > mostName {
		made = made[:mostName]
	}
	return cmp.Or(strings.TrimRight(made, "-"), "app")
}

// mostName is the length of a Service's name, which is the workload's.
const mostName = 63

var goodName = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

func checkName(name string) string {
	if len(name) > mostName || !goodName.MatchString(name) {
		return fmt.Sprintf("is not one of at most %d small letters, digits and dashes that begins with a letter", mostName)
	}
	return ""
}

// Kinds are the builders that can be asked for.
func Kinds() []string {
	kinds := []string{string(choose.Go), string(choose.Dockerfile), string(choose.Static), string(choose.Command)}
	slices.Sort(kinds)
	return kinds
}
