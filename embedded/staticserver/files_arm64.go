package staticserver

import "embed"

//go:embed slipway-static-linux-arm64*
var files embed.FS
