package watch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
	"github.com/google/go-cmp/cmp"
)

// inLimits is set in a test program that runs itself again where the system allows less.
const inLimits = "SLIPWAY_TEST_LIMITS"

// TestLimits runs out of what the system allows, in a user namespace with its own limits.
func TestLimits(t *testing.T) {
	limits := map[string]struct{ file, value, reason string }{
		"instances": {"max_inotify_instances", "0", "too many open files"},
		"watches":   {"max_inotify_watches", "3", "no space left on device"},
	}
	if name := os.Getenv(inLimits); name != "" {
		watchInLimits(t, limits[name].file, limits[name].value, limits[name].reason)
		return
	}
	for name := range limits {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLimits$", "-test.v")
			cmd.Env = append(os.Environ(), inLimits+"="+name)
			self := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: self}
			output, err := cmd.CombinedOutput()
			if err != nil && len(output) == 0 {
				t.Skipf("there are no user namespaces here: %v", err)
			}
			if err != nil || !strings.Contains(string(output), "PASS: TestLimits") {
				t.Errorf("with few %s: %v\n%s", name, err, output)
			}
			if strings.Contains(string(output), "limits cannot be set") {
				t.Skip("limits cannot be set here")
			}
		})
	}
}

func watchInLimits(t *testing.T, file, value, reason string) {
	if err := os.WriteFile(filepath.Join("/proc/sys/user", file), []byte(value), 0o644); err != nil {
		t.Logf("limits cannot be set: %v", err)
		return
	}
	dir := t.TempDir()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("d%d/a.go", i), "1")
	}
	var said []string
	batches := start(t, dir, byEvents, Options{Warn: func(text string) { said = append(said, text) }})
	for i := range 2 {
		write(t, dir, "d9/a.go", fmt.Sprint("change ", i))
		next(t, batches, "d9/a.go")
	}
	if len(said) != 1 || !strings.Contains(said[0], reason) || !strings.Contains(said[0], "sysctl") {
		t.Errorf("it said %q, want %q once, and the remedy", said, reason)
	}
}

// TestOverflow has more events than the system keeps come before any is read.
func TestOverflow(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.go", "1")
	write(t, dir, "gone.go", "1")
	w := newWatched(t, dir)
	s := newSource(w, Options{Warn: func(text string) { t.Error(text) }})
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	c, err := newContent(w, s.watchAll)
	if err != nil {
		t.Fatal(err)
	}
	// Two files in turn, since equal events in a row are kept as one.
	ones, others := filepath.Join(dir, "a.go"), filepath.Join(dir, "gone.go")
	for i := range 12_000 {
		for _, name := range []string{ones, others} {
			if err := os.Chmod(name, os.FileMode(0o600+i%2*0o44)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(t, dir, "a.go", "2")
	write(t, dir, "new/b.go", "1")
	remove(t, dir, "gone.go")
	touched := run(t, s)
	for lost := false; !lost; {
		names := <-touched
		for _, name := range names {
			lost = lost || name == everything
		}
		c.update(names)
	}
	if diff := cmp.Diff([]string{"a.go", "gone.go", "new/b.go"}, c.changed()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	c.take()
	write(t, dir, "new/b.go", "2")
	for len(c.changed()) == 0 {
		c.update(<-touched)
	}
}

// run runs a source until the test ends.
func run(t *testing.T, s *source) <-chan []string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	touched, ended := make(chan []string), make(chan struct{})
	go func() { defer close(ended); defer s.close(); s.run(ctx, touched) }()
	t.Cleanup(func() { cancel(); <-ended })
	return touched
}

// TestOtherErrors has the system fail in another way than by an overflow.
func TestOtherErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.go", "1")
	w := newWatched(t, dir)
	said := make(chan string, 10)
	s := newSource(w, Options{Scan: 1, Warn: func(text string) { said <- text }})
	if err := s.begin(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.watchAll(); err != nil {
		t.Fatal(err)
	}
	go func(events *fsnotify.Watcher) { events.Errors <- syscall.EIO }(s.events)
	touched := run(t, s)
	if names := <-touched; !cmp.Equal([]string{everything}, names) {
		t.Errorf("touched: %v, want everything", names)
	}
	if text := <-said; !strings.Contains(text, "input/output error") {
		t.Errorf("it said %q", text)
	}
	write(t, dir, "a.go", "2")
	for names := range touched {
		if cmp.Equal([]string{"a.go"}, names) {
			return
		}
	}
}
