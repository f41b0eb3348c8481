// Package version says which slipway this is. The values are set by the linker (see the Makefile); a binary
// built with plain `go build` or `go install` falls back to the build information that Go records.
package version

import "runtime/debug"

// Set with -ldflags "-X slipway.dev/slipway/internal/version.version=v1.2.3".
var (
	version = ""
	commit  = ""
)

// Version is the release, or "devel" when the binary was built without one.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// Commit is the git commit that the binary was built from, or "" when unknown.
func Commit() string { return commit }
