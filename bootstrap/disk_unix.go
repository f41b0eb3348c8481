//go:build !windows

package bootstrap

import "golang.org/x/sys/unix"

// freeBytes returns the space that is free for ordinary users on the file system of a folder, and whether it is known.
func freeBytes(folder string) (uint64, bool) {
	var stat unix.Statfs_t
	if err := unix.Statfs(folder, &stat); err != nil {
		return 0, false
	}
	return uint64(stat.Bavail) * uint64(stat.Bsize), true //nolint:unconvert // the types differ between systems
}
