package watch

import (
	"slices"

	"golang.org/x/sys/unix"
)

// networkFileSystems are those that other machines, or a program, change without the kernel's knowledge.
var networkFileSystems = []string{"nfs", "smbfs", "afpfs", "webdav", "ftp", "macfuse", "osxfuse", "virtiofs"}

// networkFileSystem names the kind of network file system on which a folder is; "" for one on this machine.
func networkFileSystem(folder string) string {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return ""
	}
	if kind := unix.ByteSliceToString(found.Fstypename[:]); slices.Contains(networkFileSystems, kind) {
		return kind
	}
	return ""
}
