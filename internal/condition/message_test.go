package condition

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"
)

func TestMessage(t *testing.T) {
	if got := Message("short"); got != "short" {
		t.Errorf("%q", got)
	}
	got := Message("x" + strings.Repeat("é", 20_000))
	if len(got) > maxMessage+4 || !utf8.ValidString(got) || !strings.HasSuffix(got, "é ...") {
		t.Errorf("%d bytes that end in %q", len(got), got[len(got)-10:])
	}
}

// TestScratch: the same words, whatever the folder is called.
func TestScratch(t *testing.T) {
	const full = "The controller's scratch folder: no space left on device. It is tried again by itself."
	in := func(name string) string { return filepath.Join(os.TempDir(), name) }
	for _, test := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("fetching: %w", &fs.PathError{Op: "write", Path: in("slipway-source-1/tmp_pack"), Err: syscall.ENOSPC}), full},
		{fmt.Errorf("fetching: %w", &fs.PathError{Op: "write", Path: in("slipway-source-2/tmp_pack"), Err: syscall.ENOSPC}), full},
		{&os.LinkError{Op: "rename", Old: in("a/x"), New: in("a/y"), Err: syscall.ENOSPC}, full},
		{&fs.PathError{Op: "mkdirat", Path: "sub", Err: syscall.ENOSPC}, full},
		{&fs.PathError{Op: "mkdir", Path: in("slipway-source-3"), Err: syscall.EACCES}, "The controller's scratch folder: permission denied. It is tried again by itself."},
		{&fs.PathError{Op: "stat", Path: os.TempDir(), Err: syscall.ENOENT}, "The controller's scratch folder: no such file or directory. It is tried again by itself."},
		{&fs.PathError{Op: "stat", Path: "config/a", Err: syscall.ENOTDIR}, ""},
		{&fs.PathError{Op: "open", Path: "/var/run/token", Err: syscall.ENOENT}, ""},
		{errors.New("the server answers 503"), ""},
	} {
		if got := Scratch(test.err); got != test.want {
			t.Errorf("Scratch(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}
