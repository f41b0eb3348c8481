//go:build !amd64 && !arm64

package slipwayd

import "embed"

// files is empty: slipwayd is built for amd64 and arm64.
var files embed.FS
