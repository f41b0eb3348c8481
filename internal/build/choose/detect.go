package choose

import (
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/gobinary"
	"slipway.dev/slipway/internal/build/staticsite"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/tree"
)

// Kind is a way to build; its value is the field of `build` in slipway.yaml.
type Kind string

const (
	Go         Kind = "go"
	Dockerfile Kind = "dockerfile"
	Static     Kind = "static"
	Command    Kind = "command"
)

// Choice is how a folder is built, and why so.
type Choice struct {
	Kind  Kind
	Build appfile.Build // exactly the field of Kind is set
	// Why says it in a sentence's end, such as "there is a Dockerfile".
	Why string
	// Also are other ways in which the folder could be built, in words; slipway.yaml can say that one of them is meant.
	Also []string
}

// Explain is the choice in one line.
func (c Choice) Explain() string {
	text := fmt.Sprintf("builder %s: %s", c.Kind, c.Why)
	if len(c.Also) > 0 {
		text += fmt.Sprintf(" (and %s: `build` in %s chooses)", strings.Join(c.Also, ", and "), appfile.Name)
	}
	return text
}

// Detect chooses: what slipway.yaml says; else a Dockerfile, which somebody wrote on purpose; else a Go program; else a
// folder with an index.html. A main package that the user named means Go. Nothing of these is build.ErrNothingToBuild.
func Detect(app *appfile.App, files *tree.Tree, platform v1.Platform, main string) (Choice, error) {
	if choice, said := fromFile(app.Build); said {
		if main != "" && choice.Kind != Go {
			return Choice{}, fmt.Errorf("a main package is named, but %s chooses the builder %s", appfile.Name, choice.Kind)
		}
		return choice, nil
	}
	if main != "" {
		return Choice{Kind: Go, Build: appfile.Build{Go: &appfile.Go{}}, Why: "its main package is named"}, nil
	}
	found := detectAll(files, platform)
	if len(found) == 0 {
		return Choice{}, hint.Withf(fmt.Errorf("%w: %s has no Dockerfile, no Go main package and no index.html", build.ErrNothingToBuild, files.Root()),
			"name another folder, such as examples/hello, or say in %s how this one is built (`build.command` runs anything)", appfile.Name)
	}
	first := found[0]
	for _, other := range found[1:] {
		first.Also = append(first.Also, other.Why)
	}
	return first, nil
}

func fromFile(b appfile.Build) (Choice, bool) {
	choice := Choice{Build: b, Why: appfile.Name + " says so"}
	switch {
	case b.Go != nil:
		choice.Kind = Go
	case b.Dockerfile != nil:
		choice.Kind = Dockerfile
	case b.Static != nil:
		choice.Kind = Static
	case b.Command != nil:
		choice.Kind = Command
	default:
		return Choice{}, false
	}
	return choice, true
}

// detectAll lists all ways to build the source, the best first.
func detectAll(files *tree.Tree, platform v1.Platform) []Choice {
	var found []Choice
	has := func(name string) bool {
		return slices.ContainsFunc(files.Files, func(f tree.File) bool { return f.Name == name })
	}
	if has("Dockerfile") {
		found = append(found, Choice{Kind: Dockerfile, Build: appfile.Build{Dockerfile: &appfile.Dockerfile{}}, Why: "there is a Dockerfile"})
	}
	if mains := gobinary.Mains(files, platform); len(mains) > 0 {
		why := "there is a Go program"
		if mains[0] != "." {
			why += " in " + strings.Join(mains, ", ")
		}
		found = append(found, Choice{Kind: Go, Build: appfile.Build{Go: &appfile.Go{}}, Why: why})
	}
	if folder, is := staticsite.Find(files); is {
		found = append(found, Choice{Kind: Static, Build: appfile.Build{Static: &appfile.Static{Folder: folder}}, Why: "there is " + path.Join(folder, "index.html")})
	}
	return found
}
