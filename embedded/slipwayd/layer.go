// Package slipwayd holds the finished gzip layer of slipwayd's image, for linux on the architecture that this
// binary was compiled for: an engine on the same machine has that architecture too. `make build` puts the layer
// here; git ignores it. slipwayd itself must not import this package.
package slipwayd

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"slipway.dev/slipway/internal/hint"
)

// Architecture is the one that the embedded slipwayd runs on, in Go's words.
const Architecture = runtime.GOARCH

// Layer returns the gzip layer, or an error that says how to build a slipway that has one.
func Layer() ([]byte, error) {
	name := fmt.Sprintf("slipwayd-linux-%s.tar.gz", Architecture)
	content, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.With(errors.New("this slipway was built without slipwayd"), "build it with `make build` in a checkout; `go build` and `go install` leave slipwayd out")
	}
	return content, err
}
