//go:build linux

package supervise

import (
	"os"
	"sync"
	"syscall"
)

// exit is how a process ended.
type exit struct {
	code int // as a shell says it: 128 and the signal's number for a process that a signal ended
}

// children starts processes and collects all that end, its own and those that it inherits as the first process of a
// container: nobody else would.
type children struct {
	mutex   sync.Mutex // held while a process is started, so that its end cannot come before it is known
	waiting map[int]chan<- exit
}

func newChildren() *children { return &children{waiting: map[int]chan<- exit{}} }

// start runs a program, in a process group of its own. The channel gets one value, when the process has ended.
func (c *children) start(program string, arguments, environment []string, files []*os.File) (int, <-chan exit, error) {
	descriptors := make([]uintptr, len(files))
	for i, file := range files {
		descriptors[i] = file.Fd()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	pid, err := syscall.ForkExec(program, arguments, &syscall.ProcAttr{
		Env: environment, Files: descriptors, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan exit, 1)
	c.waiting[pid] = ended
	return pid, ended, nil
}

// reap collects what has ended; it is to be called after each SIGCHLD.
func (c *children) reap() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if err == syscall.EINTR { //nolint:errorlint // a bare number
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		ended, ours := c.waiting[pid]
		if !ours {
			continue
		}
		delete(c.waiting, pid)
		code := status.ExitStatus()
		if status.Signaled() {
			code = 128 + int(status.Signal())
		}
		ended <- exit{code: code}
	}
}

// adopt makes the process inherit what its children leave behind. The first process of a container does so anyway.
func adopt() {
	const setChildSubreaper = 36 // PR_SET_CHILD_SUBREAPER of linux/prctl.h
	// An error would mean a kernel older than 3.4: then orphans are the host's.
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0)
}
