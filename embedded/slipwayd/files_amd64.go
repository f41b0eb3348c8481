package slipwayd

import "embed"

//go:embed slipwayd-linux-amd64*
var files embed.FS
