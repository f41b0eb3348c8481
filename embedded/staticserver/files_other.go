//go:build !amd64 && !arm64

package staticserver

import "embed"

// files is empty: the server is built for amd64 and arm64.
var files embed.FS
