package slipwayd

import "embed"

//go:embed slipwayd-linux-arm64*
var files embed.FS
