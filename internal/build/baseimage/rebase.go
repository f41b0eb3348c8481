package baseimage

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build"
)

// RecordType is the media type of a Record, as an image's evidence.
const RecordType = "application/vnd.slipway.base.v1+json"

// Record says on what an image stands, and what was put on that. It is enough to put the same on a newer base, with the
// digest that building again would give: go-containerregistry's own rebase keeps the old base's environment and user.
type Record struct {
	Name       string            `json:"name"`   // of the base, as it was asked for
	Digest     string            `json:"digest"` // of the base
	Layers     int               `json:"layers"` // how many of the image's are the base's
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"`
	WorkingDir string            `json:"workingDir,omitempty"`
	Ports      []int             `json:"ports,omitempty"`
}

// Tell adds to a result that its image is top on a base of that name. Of a base that no registry has nothing is told: it
// changes with the source, or with slipway.
func Tell(result *build.Result, name string, base v1.Image, top Top) error {
	if name == "" || name == Nothing || isFolder(name) {
		return nil
	}
	digest, err := base.Digest()
	if err != nil {
		return fmt.Errorf("reading the base %s: %w", name, err)
	}
	layers, err := base.Layers()
	if err != nil {
		return fmt.Errorf("reading the base %s: %w", name, err)
	}
	content, err := json.Marshal(Record{
		Name: name, Digest: digest.String(), Layers: len(layers),
		Entrypoint: top.Entrypoint, Env: top.Env, User: top.User, WorkingDir: top.WorkingDir, Ports: top.Ports,
	})
	if err != nil {
		return fmt.Errorf("telling of the base %s: %w", name, err)
	}
	result.Base = &build.Base{Name: name, Digest: digest.String()}
	result.Evidence = append(result.Evidence, build.Evidence{MediaType: RecordType, Content: content})
	return nil
}

// Rebase makes of an image the one that stands on another base; was tells of the image. Nothing is built.
func Rebase(image, base v1.Image, platform v1.Platform, was Record) (*build.Result, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	if was.Layers < 0 || was.Layers >= len(layers) {
		return nil, errors.New("what tells of the image's base does not fit the image")
	}
	top := Top{Layers: layers[was.Layers:], Entrypoint: was.Entrypoint, Env: was.Env, User: was.User, WorkingDir: was.WorkingDir, Ports: was.Ports}
	made, err := Put(base, platform, top)
	if err != nil {
		return nil, err
	}
	result := &build.Result{Image: made}
	return result, Tell(result, was.Name, base, top)
}

// isFolder says whether a base's name is that of a folder.
func isFolder(base string) bool {
	return strings.HasPrefix(base, "./") || strings.HasPrefix(base, "../") || strings.HasPrefix(base, "/")
}
