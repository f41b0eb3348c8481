package appfile

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// check looks for what the types cannot say.
func (r *reader) check(a *App) {
	if a.APIVersion != APIVersion {
		r.problem("apiVersion", "want %s, not %q", APIVersion, a.APIVersion)
	}
	if a.Kind != Kind {
		r.problem("kind", "want %s, not %q", Kind, a.Kind)
	}
	r.inside("workload", a.Workload)
	r.checkBuild(&a.Build)
	r.checkPorts(a.Ports)
	for i, rule := range a.Sync {
		r.checkSync(fmt.Sprintf("sync[%d]", i), rule, a.Build)
	}
	for i, name := range a.Ignore {
		field := fmt.Sprintf("ignore[%d]", i)
		r.inside(field, name)
		if path.Clean(name) == "." || strings.ContainsAny(name, "*?[!") {
			r.problem(field, "want a path in this folder; patterns belong into .slipwayignore")
		}
	}
}

func (r *reader) checkBuild(b *Build) {
	var chosen []string
	if b.Go != nil {
		chosen = append(chosen, "go")
		r.checkGo(b.Go)
	}
	if b.Dockerfile != nil {
		chosen = append(chosen, "dockerfile")
		r.checkDockerfile(b.Dockerfile)
	}
	if b.Static != nil {
		chosen = append(chosen, "static")
		r.inside("build.static.folder", b.Static.Folder)
	}
	if b.Command != nil {
		chosen = append(chosen, "command")
		r.checkCommand(b.Command)
	}
	if len(chosen) > 1 {
		r.problem("build", "choose one builder, not %s", strings.Join(chosen, " and "))
	}
}

func (r *reader) checkGo(g *Go) {
	r.inside("build.go.main", g.Main)
	r.inside("build.go.assets", g.Assets)
	r.checkBase("build.go.base", g.Base)
	r.words("build.go.tags", g.Tags)
	r.words("build.go.ldflags", g.LDFlags)
	r.words("build.go.flags", g.Flags)
	for i, tag := range g.Tags {
		if strings.ContainsAny(tag, ", ") {
			r.problem(fmt.Sprintf("build.go.tags[%d]", i), "want one tag")
		}
	}
	for i, flag := range g.Flags {
		field := fmt.Sprintf("build.go.flags[%d]", i)
		if !strings.HasPrefix(flag, "-") {
			r.problem(field, "want a flag with its value after =, such as -gcflags=-N, not %q", flag)
			continue
		}
		switch name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "="); name {
		case "ldflags", "tags":
			r.problem(field, "want it in build.go.%s", name)
		case "C", "o", "n", "json", "buildmode", "race", "msan", "asan":
			r.problem(field, "-%s does not fit: slipway chooses the output, and there is no cgo", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(g.Env)) {
		if slices.Contains([]string{"GOOS", "GOARCH", "CGO_ENABLED"}, name) {
			r.problem("build.go.env."+name, "slipway sets it: the platform is the node's, and there is no cgo")
		}
		r.checkVariable("build.go.env."+name, name)
	}
}

func (r *reader) checkDockerfile(d *Dockerfile) {
	r.inside("build.dockerfile.file", d.File)
	r.inside("build.dockerfile.context", d.Context)
	seen := map[string]bool{}
	for i, secret := range d.Secrets {
		field := fmt.Sprintf("build.dockerfile.secrets[%d]", i)
		switch {
		case secret.ID == "":
			r.problem(field+".id", "want the secret's name")
		case seen[secret.ID]:
			r.problem(field+".id", "there is a secret %q already", secret.ID)
		case (secret.File == "") == (secret.Env == ""):
			r.problem(field, "want either file or env")
		}
		seen[secret.ID] = true
	}
}

func (r *reader) checkCommand(c *Command) {
	if len(c.Run) == 0 || c.Run[0] == "" {
		r.problem("build.command.run", "want a program and its arguments, such as [make, image]")
	}
	r.inside("build.command.output", c.Output)
	if path.Clean(c.Output) == "." && c.Output != "" {
		r.problem("build.command.output", "want a path below this folder, which is the source")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		r.checkVariable("build.command.env."+name, name)
	}
	if c.Image == nil {
		return
	}
	r.checkBase("build.command.image.base", c.Image.Base)
	r.absolute("build.command.image.path", c.Image.Path)
	for _, name := range slices.Sorted(maps.Keys(c.Image.Env)) {
		r.checkVariable("build.command.image.env."+name, name)
	}
	if c.Image.Entrypoint != nil && len(c.Image.Entrypoint) == 0 {
		r.problem("build.command.image.entrypoint", "want a program")
	}
	if user := c.Image.User; user != "" {
		for part := range strings.SplitSeq(user, ":") {
			if _, err := strconv.ParseUint(part, 10, 31); err != nil {
				r.problem("build.command.image.user", "want a number, or USER:GROUP in numbers, not %q", user)
				break
			}
		}
	}
}

func (r *reader) checkPorts(ports []Port) {
	local := map[int]int{}
	for i, port := range ports {
		number := port.Local
		if number == 0 {
			number = port.Container
		}
		if before, taken := local[number]; taken {
			r.problem(fmt.Sprintf("ports[%d]", i), "port %d of this machine is for ports[%d] already", number, before)
			continue
		}
		local[number] = i
	}
}

func (r *reader) checkSync(field string, s Sync, b Build) {
	if s.Binary {
		if s.From != "" || s.To != "" {
			r.problem(field, "binary goes where the image has it: want no from and no to")
		}
		if b.Dockerfile != nil || b.Static != nil || b.Command != nil {
			r.problem(field+".binary", "only the Go builder knows the program that it built")
		}
		return
	}
	if s.From == "" || s.To == "" {
		r.problem(field, "want from and to, or binary: true")
		return
	}
	if wrong := checkGlob(s.From); wrong != "" {
		r.problem(field+".from", "%s, not %q", wrong, s.From)
	}
	r.absolute(field+".to", s.To)
}

// checkBase accepts what looks like a path, and images' names; whether they are there is seen when they are used.
func (r *reader) checkBase(field, base string) {
	if strings.ContainsAny(base, " \t\r\n") {
		r.problem(field, "want an image's name, a folder that begins with ./ or /, or scratch, not %q", base)
	}
}

func (r *reader) checkVariable(field, name string) {
	if strings.ContainsAny(name, "= \t\x00") {
		r.problem(field, "want a variable's name")
	}
}

func (r *reader) words(field string, list []string) {
	for i, word := range list {
		if strings.TrimSpace(word) == "" || strings.ContainsAny(word, "\x00\r\n") {
			r.problem(fmt.Sprintf("%s[%d]", field, i), "want a word")
		}
	}
}

// inside refuses paths that lead out of the app's folder.
func (r *reader) inside(field, name string) {
	if name != "" && !isLocal(name) {
		r.problem(field, "want a path inside this folder, with slashes, not %q", name)
	}
}

func isLocal(name string) bool {
	return !strings.ContainsAny(name, "\\\x00") && filepath.IsLocal(filepath.FromSlash(name))
}

func (r *reader) absolute(field, name string) {
	if name != "" && (!path.IsAbs(name) || path.Clean(name) != strings.TrimSuffix(name, "/") && name != "/" || strings.Contains(name, "\x00")) {
		r.problem(field, "want a path in the container, from the root, not %q", name)
	}
}
