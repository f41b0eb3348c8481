// Package embedded reads what ships inside the slipway binary: CRDs, the manifests of slipway's own components, the
// supply chains and templates of the profiles, and what comes from pinned upstream modules at build time (charts,
// certificates, time zones). It gives out bytes and decides nothing. slipwayd's layer is in its own package, so that
// slipwayd need not carry it.
package embedded

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"slipway.dev/slipway/internal/hint"
)

// all: keeps files whose names begin with _ or a dot, which charts have.
//
//go:embed all:upstream
var upstream embed.FS

//go:embed crds manifests templates
var own embed.FS

// CRDs returns the definitions of slipway's and carto.run's kinds, one file each, sorted by name.
func CRDs() ([][]byte, error) { return folder("crds") }

// Manifests returns the manifests of one of slipway's own components.
func Manifests(component string) ([][]byte, error) { return folder(path.Join("manifests", component)) }

// Templates returns the supply chains and templates of a profile.
func Templates(profile string) ([][]byte, error) { return folder(path.Join("templates", profile)) }

func folder(name string) ([][]byte, error) {
	entries, err := own.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("reading the embedded folder %s: %w", name, err)
	}
	var contents [][]byte
	for _, entry := range entries {
		content, err := own.ReadFile(path.Join(name, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading the embedded file %s: %w", entry.Name(), err)
		}
		contents = append(contents, content)
	}
	return contents, nil
}

// Chart returns the files of an upstream Helm chart.
func Chart(name string) (fs.FS, error) {
	if _, err := fs.Stat(upstream, path.Join("upstream", name, "Chart.yaml")); err != nil {
		return nil, missing("the chart of "+name, err)
	}
	return fs.Sub(upstream, path.Join("upstream", name))
}

// CACertificates returns the bundle of certificate authorities (PEM) that goes into the images that slipway makes.
func CACertificates() ([]byte, error) { return upstreamFile("ca-certificates.crt") }

// ZoneInfo returns the time zone database in Go's zip format, which goes into the images that slipway makes.
func ZoneInfo() ([]byte, error) { return upstreamFile("zoneinfo.zip") }

func upstreamFile(name string) ([]byte, error) {
	content, err := upstream.ReadFile(path.Join("upstream", name))
	if err != nil {
		return nil, missing(name, err)
	}
	return content, nil
}

func missing(what string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return hint.With(fmt.Errorf("this slipway was built without %s", what), "build it with `make build` in a checkout; `go build` and `go install` leave upstream's files out")
}
