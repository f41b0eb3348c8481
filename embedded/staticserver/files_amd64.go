package staticserver

import "embed"

//go:embed slipway-static-linux-amd64*
var files embed.FS
