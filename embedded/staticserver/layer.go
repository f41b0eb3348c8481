// Package staticserver holds the finished gzip layer of slipway-static, the server in the images that slipway makes of
// sites, for linux on the architecture that this binary was compiled for. `make build` puts the layer here; git ignores
// it. It knows nothing of images.
package staticserver

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"slipway.dev/slipway/internal/hint"
)

const (
	// Architecture is the one that the embedded server runs on, in Go's words.
	Architecture = runtime.GOARCH
	// Program is the server's name in the layer, which holds nothing else.
	Program = "/slipway-static"
)

// Layer returns the gzip layer, or an error that says how to build a slipway that has one.
func Layer() ([]byte, error) {
	name := fmt.Sprintf("slipway-static-linux-%s.tar.gz", Architecture)
	content, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(errors.New("this slipway was built without its server for sites"), "build it with `make build` in a checkout; `go build` and `go install` leave it out")
	}
	return content, err
}
