//go:build !linux && !darwin

package watch

import (
	"path/filepath"
	"strings"
)

// networkFileSystem knows a network share by its name alone, as in \\server\share.
func networkFileSystem(folder string) string {
	if strings.HasPrefix(filepath.VolumeName(folder), `\\`) {
		return "a network share"
	}
	return ""
}
