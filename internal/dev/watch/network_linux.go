package watch

import "golang.org/x/sys/unix"

// networkFileSystems are those that other machines, or a program, change without the kernel's knowledge, by the magic
// numbers of statfs(2).
var networkFileSystems = map[uint32]string{
	0x6969: "nfs", 0x517b: "smb", 0xfe534d42: "smb", 0xff534d42: "cifs", 0x01021997: "9p", 0x65735546: "fuse", 0x5346414f: "afs", 0x6b414653: "afs",
	0x00c36400: "ceph", 0x0bd00bd0: "lustre", 0x47504653: "gpfs", 0x7461636f: "ocfs2", 0x786f4256: "vboxsf", 0x7c7c6673: "prl_fs", 0xbacbacbc: "vmhgfs",
}

// networkFileSystem names the kind of network file system on which a folder is; "" for one on this machine.
func networkFileSystem(folder string) string {
	var found unix.Statfs_t
	if err := unix.Statfs(folder, &found); err != nil {
		return ""
	}
	return networkFileSystems[uint32(found.Type)]
}
