package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"slipway": main})
}

// TestScripts runs the program as a user does, without an engine: help, wrong usage, output formats, Ctrl-C.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "kubeconfig"))
			env.Setenv("DOCKER_HOST", "unix:///nonexistent")
			// An engine that takes connections and never answers, for what happens while a command waits.
			hanging := filepath.Join(env.WorkDir, "e.sock")
			listener, err := net.Listen("unix", hanging)
			if err != nil {
				return err
			}
			env.Setenv("HANGING_ENGINE", "unix://"+hanging)
			env.Defer(func() { _ = listener.Close() })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "interrupted": interrupted},
	})
}

// exits runs a command that must end with an exit code: exits CODE COMMAND ARGUMENT...
func exits(script *testscript.TestScript, _ bool, args []string) {
	wantCode(script, args[0], script.Exec(args[1], args[2:]...))
}

func wantCode(script *testscript.TestScript, want string, err error) {
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		script.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != want {
		script.Fatalf("exit code %d, want %s", code, want)
	}
}

// interrupted runs a command, sends it a signal as soon as a file is there, and wants an exit code; what it wrote to
// standard error is then in the file "stderr.txt": interrupted CODE SIGNAL FILE COMMAND ARGUMENT...
func interrupted(script *testscript.TestScript, _ bool, args []string) {
	signals := map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM}
	path, err := exec.LookPath(filepath.Join(strings.Split(script.Getenv("PATH"), string(os.PathListSeparator))[0], args[3]))
	script.Check(err)
	output, err := os.Create(script.MkAbs("stderr.txt"))
	script.Check(err)
	defer output.Close()
	command := exec.Command(path, args[4:]...)
	command.Stderr = output
	command.Env = []string{"HOME=" + script.Getenv("HOME"), "DOCKER_HOST=" + script.Getenv("DOCKER_HOST"), "XDG_STATE_HOME=" + script.Getenv("XDG_STATE_HOME")}
	script.Check(command.Start())
	for range 500 {
		if _, err = os.Stat(script.MkAbs(args[2])); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	script.Check(err)
	script.Check(command.Process.Signal(signals[args[1]]))
	wantCode(script, args[0], command.Wait())
}
