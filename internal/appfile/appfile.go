// Package appfile reads slipway.yaml, the file in which an app says how it is built, forwarded and synced where that
// cannot be found out. The file is optional, and so is each field of it. The package also gives out the file's JSON
// schema. It decides nothing: which builder fits a folder without the file is the business of package build/choose,
// and the workload is a file of its own.
package appfile

import (
	"path/filepath"
	"slices"
)

const (
	// Name is the file's name in the app's folder.
	Name = "slipway.yaml"
	// APIVersion and Kind are what the file must say that it is.
	APIVersion = "slipway.dev/v1alpha1"
	Kind       = "App"
	// DefaultWorkload is the workload's file where the app names none.
	DefaultWorkload = "workload.yaml"
)

// App is the content of slipway.yaml. Paths are relative to its folder, with slashes, and stay inside it unless the
// field says otherwise. The `doc` tags are the descriptions in the JSON schema.
type App struct {
	APIVersion string   `yaml:"apiVersion" doc:"The version of this format."`
	Kind       string   `yaml:"kind" doc:"The kind of this file."`
	Workload   string   `yaml:"workload" doc:"The workload's file. Default: workload.yaml."`
	Build      Build    `yaml:"build" doc:"How the image is built. At most one builder; without one, slipway looks at what is there: a Dockerfile, then Go, then index.html."`
	Ports      []Port   `yaml:"ports" doc:"Ports that dev forwards: CONTAINER, or LOCAL:CONTAINER. Default: all that the workload's Deployment declares."`
	Sync       []Sync   `yaml:"sync" doc:"What goes straight into the running container when it changes (the fast lane)."`
	Ignore     []string `yaml:"ignore" doc:"Files and folders that are not source, as paths. Patterns belong into .slipwayignore."`

	path string
}

// Build chooses the builder: at most one field is set. All nil means that it is found out.
type Build struct {
	Go         *Go         `yaml:"go" doc:"Compile a Go program."`
	Dockerfile *Dockerfile `yaml:"dockerfile" doc:"Build a Dockerfile with the engine's BuildKit."`
	Static     *Static     `yaml:"static" doc:"Serve a folder on port 8080, with a small server of slipway's."`
	Command    *Command    `yaml:"command" doc:"Run a command that leaves a folder, an image's tarball or an OCI layout."`
}

// Go is how a Go program is compiled, and what it stands on.
type Go struct {
	Main    string            `yaml:"main" doc:"The main package, such as ./cmd/server. Default: the only one."`
	Tags    []string          `yaml:"tags" doc:"Build tags, added to those of GOFLAGS."`
	LDFlags []string          `yaml:"ldflags" doc:"Flags of the linker, beside -buildid=, which leaves out an ID that is of no use in an image. Default: -s -w."`
	Flags   []string          `yaml:"flags" doc:"Further flags of go build, such as -race or -gcflags=-N."`
	Env     map[string]string `yaml:"env" doc:"Environment of go build, such as GOEXPERIMENT. The platform is the node's, and there is no cgo."`
	Base    string            `yaml:"base" doc:"What lies below the program: an image's name, a folder with an OCI layout (a path that begins with ./, ../ or /), or scratch for nothing. Default: certificates, time zones and a user, of slipway's."`
	Assets  string            `yaml:"assets" doc:"A folder that goes into the image beside the program; the program finds it in $KO_DATA_PATH. Default: kodata in the main package, if there is one."`
}

// Dockerfile is what the engine is asked to build.
type Dockerfile struct {
	File    string            `yaml:"file" doc:"The Dockerfile. Default: Dockerfile in the context, else in this folder."`
	Context string            `yaml:"context" doc:"The folder that is sent to the engine. Default: this folder."`
	Target  string            `yaml:"target" doc:"The stage to build. Default: the last."`
	Args    map[string]string `yaml:"args" doc:"Build arguments (ARG)."`
	Secrets []Secret          `yaml:"secrets" doc:"What RUN --mount=type=secret can see. Never in the image."`
}

// Secret comes from a file or from a variable of the environment, exactly one of them.
type Secret struct {
	ID   string `yaml:"id" doc:"The name in RUN --mount=type=secret,id=..."`
	File string `yaml:"file" doc:"The file that holds it. It may be outside of this folder; ~/ is the home folder."`
	Env  string `yaml:"env" doc:"The variable of slipway's environment that holds it."`
}

// Static is a folder of files to serve.
type Static struct {
	Folder string `yaml:"folder" doc:"The folder to serve. Default: public, dist or build, if it holds an index.html, else this folder."`
	SPA    bool   `yaml:"spa" doc:"Answer paths that are no file with index.html, as apps with routes of their own in the browser need it."`
}

// Command is a command that builds by itself.
type Command struct {
	Run    []string          `yaml:"run" doc:"The program and its arguments. It sees SLIPWAY_PLATFORM (such as linux/amd64), SLIPWAY_OUTPUT (where to leave the result), SLIPWAY_NAME (the workload's) and SOURCE_DATE_EPOCH."`
	Env    map[string]string `yaml:"env" doc:"Further environment of the command."`
	Output string            `yaml:"output" doc:"What the command leaves: a folder, a tarball (docker save, or OCI) or an OCI layout. Default: $SLIPWAY_OUTPUT, a fresh path each time."`
	Image  *Image            `yaml:"image" doc:"The image that a folder becomes. Not for tarballs and layouts, which are images."`
}

// Image is what is made of a folder that is not an image yet.
type Image struct {
	Base       string            `yaml:"base" doc:"What lies below the folder's files, as in build.go.base."`
	Path       string            `yaml:"path" doc:"Where the files are in the container. Default: /app."`
	Entrypoint []string          `yaml:"entrypoint" doc:"The program to run, as a path in the container, and its arguments. Default: the base's."`
	Env        map[string]string `yaml:"env" doc:"Environment of the container, added to the base's."`
	User       string            `yaml:"user" doc:"The user, as a number. Default: the base's."`
}

// Sync is a rule of the fast lane: either files that match From, or the program that the Go builder compiled.
type Sync struct {
	From    string `yaml:"from" doc:"Which files, such as templates/**; a ** stands for any number of folders."`
	To      string `yaml:"to" doc:"The folder in the container; what comes before the first wildcard of from is left out of the path below it."`
	Binary  bool   `yaml:"binary" doc:"Sync the compiled Go program, instead of files."`
	Restart *bool  `yaml:"restart" doc:"Whether the process starts again after a sync. Default: true."`
}

// Path is the file that the App was read from; "" when there was none.
func (a *App) Path() string { return a.path }

// WorkloadFile is the workload's file, relative to the app's folder.
func (a *App) WorkloadFile() string {
	if a.Workload == "" {
		return DefaultWorkload
	}
	return a.Workload
}

// Ignored are the files and folders in the app's folder dir that are not source beside what ignore files say: what the
// file names, and what the app's own build leaves. They are made for tree.NewRules.
func (a *App) Ignored(dir string) []string {
	names := slices.Clone(a.Ignore)
	if c := a.Build.Command; c != nil && c.Output != "" {
		names = append(names, c.Output)
	}
	for i, name := range names {
		names[i] = filepath.Join(dir, filepath.FromSlash(name))
	}
	return names
}

// Restarts says whether the process starts again after a sync by this rule.
func (s Sync) Restarts() bool { return s.Restart == nil || *s.Restart }
