//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// endWithChildren gives the command a process group of its own, which is killed as one. That also keeps a Ctrl-C in
// the terminal from reaching the compiler directly.
func endWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
