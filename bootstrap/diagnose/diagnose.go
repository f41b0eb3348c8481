// Package diagnose collects what someone needs who was not there: it writes a folder with the engine's view of an
// environment, the cluster's objects and events, the logs of everything that runs, and a README that says first what
// looks wrong. Secrets are left out. It repairs nothing, and judges only what is plain to see.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/environment"
)

// Engine is what is asked of the container engine; *docker.Engine has it.
type Engine interface {
	Host() string
	Info(ctx context.Context) (docker.Info, error)
	ContainersWith(ctx context.Context, key, value string) ([]string, error)
	ContainersOn(ctx context.Context, network string) ([]string, error)
	Container(ctx context.Context, name string) (*docker.Container, error)
	Logs(ctx context.Context, name string, lines int) (string, error)
	Exec(ctx context.Context, name string, command ...string) (string, error)
}

var _ Engine = (*docker.Engine)(nil)

// Options say what is collected.
type Options struct {
	Name environment.Name
	// Engine is where the environment is; nil leaves its side out.
	Engine Engine
	// Kube is the way to the cluster; nil leaves the cluster's side out.
	Kube *rest.Config
	// Dir is the folder to write; it is made, and files of an earlier run in it are overwritten. "" means
	// slipway-diagnose-<name>-<time> in the working directory.
	Dir string
	// Namespaces are collected beside those that hold slipway, cert-manager and workloads.
	Namespaces []string
}

// Report says what was collected.
type Report struct {
	Dir      string   `json:"dir"`
	Files    []string `json:"files"`              // relative to Dir, sorted
	Problems []string `json:"problems"`           // what looks wrong, the likeliest cause first
	Missing  []string `json:"missing,omitempty"`  // what could not be collected, and why
	Warnings []string `json:"warnings,omitempty"` // the cluster's latest warning events
}

// Collect writes the folder. What cannot be collected is noted in the report and left out; an error is returned only
// when the folder cannot be written or ctx ends, and the report is then what there is so far.
func Collect(ctx context.Context, o Options) (Report, error) {
	now := time.Now()
	if o.Dir == "" {
		o.Dir = fmt.Sprintf("slipway-diagnose-%s-%s", o.Name, now.Format("20060102-150405"))
	}
	c := &collector{Options: o, report: Report{Dir: o.Dir, Files: []string{}, Problems: []string{}}}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return c.report, fmt.Errorf("making the folder for what is collected: %w", err)
	}
	if o.Engine != nil {
		c.collectEngine(ctx)
	}
	if o.Kube != nil {
		c.collectCluster(ctx)
	} else {
		c.missing("the cluster's objects and logs", errors.New("there is no connection to the cluster"))
	}
	slices.Sort(c.report.Files)
	c.write("README.txt", []byte(readme(&c.report, o.Name, now)))
	c.report.Files = append([]string{"README.txt"}, slices.DeleteFunc(c.report.Files, func(f string) bool { return f == "README.txt" })...)
	return c.report, errors.Join(c.writeError, ctx.Err())
}

// collector is one run of Collect.
type collector struct {
	Options
	report     Report
	writeError error // the first one
}

func (c *collector) missing(what string, err error) {
	c.report.Missing = append(c.report.Missing, fmt.Sprintf("%s: %v", what, err))
}

func (c *collector) problem(format string, arguments ...any) {
	c.report.Problems = append(c.report.Problems, fmt.Sprintf(format, arguments...))
}

// write writes a file of the folder; empty ones are left out.
func (c *collector) write(name string, content []byte) {
	if len(content) == 0 || c.writeError != nil {
		return
	}
	path := filepath.Join(c.Dir, filepath.FromSlash(name))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, content, 0o644)
	}
	if err != nil {
		c.writeError = fmt.Errorf("writing what is collected: %w", err)
		return
	}
	c.report.Files = append(c.report.Files, name)
}

func (c *collector) writeYAML(name string, value any) {
	content, err := yaml.Marshal(value)
	if err != nil {
		c.missing(name, err)
		return
	}
	c.write(name, content)
}
