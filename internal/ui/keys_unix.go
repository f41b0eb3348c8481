//go:build linux || darwin

package ui

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// listenForKeys reads keys from the terminal that is the process's input; nil when it is none, or belongs to another
// process. resumed is called when the process goes on after Ctrl-Z.
func listenForKeys(streams *Streams, resumed func()) *keyboard {
	file, ok := streams.In.(*os.File)
	if !ok {
		return nil
	}
	terminal := int(file.Fd())
	before, err := unix.IoctlGetTermios(terminal, getTermios)
	if err != nil || !inForeground(terminal) {
		return nil
	}
	var wake [2]int
	if err := unix.Pipe(wake[:]); err != nil {
		return nil
	}
	for _, end := range wake {
		unix.CloseOnExec(end)
	}
	k := newKeyboard()
	var mutex sync.Mutex // guards the terminal's settings
	raw := func() {
		mutex.Lock()
		defer mutex.Unlock()
		if !inForeground(terminal) {
			return
		}
		settings := *before
		settings.Lflag &^= unix.ICANON | unix.ECHO // ISIG stays: Ctrl-C and Ctrl-Z are signals
		settings.Cc[unix.VMIN], settings.Cc[unix.VTIME] = 1, 0
		_ = unix.IoctlSetTermios(terminal, setTermios, &settings)
	}
	k.restore = func() {
		mutex.Lock()
		defer mutex.Unlock()
		if inForeground(terminal) {
			_ = unix.IoctlSetTermios(terminal, setTermios, before)
		}
	}
	raw()
	streams.onRestore(k.restore)
	var wait sync.WaitGroup
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTSTP, unix.SIGCONT)
	wait.Go(func() {
		for s := range signals {
			if s == unix.SIGCONT {
				raw()
				resumed()
				continue
			}
			streams.RestoreCursor()
			_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
		}
	})
	wait.Go(func() { readKeys(terminal, wake[0], k) })
	k.end = func() {
		signal.Stop(signals)
		close(signals)
		_, _ = unix.Write(wake[1], []byte{0})
		wait.Wait()
		_ = unix.Close(wake[0])
		_ = unix.Close(wake[1])
	}
	return k
}

// readKeys reads until something comes through wake, or the terminal has gone.
func readKeys(terminal, wake int, k *keyboard) {
	buffer := make([]byte, 64)
	for {
		ready := []unix.PollFd{{Fd: int32(terminal), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		_, err := unix.Poll(ready, -1)
		switch {
		case err == unix.EINTR: //nolint:errorlint // a system call's own
			continue
		case err != nil, ready[1].Revents != 0:
			return
		case ready[0].Revents&unix.POLLIN == 0:
			return
		case !inForeground(terminal):
			return // reading would stop the process
		}
		n, err := unix.Read(terminal, buffer)
		if n <= 0 || err != nil {
			return
		}
		k.take(buffer[:n])
	}
}

// inForeground says whether the process may use the terminal: one in the background that does is stopped.
func inForeground(terminal int) bool {
	group, err := unix.IoctlGetInt(terminal, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
