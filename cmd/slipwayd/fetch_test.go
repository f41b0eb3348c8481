package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFetchBecomes has slipwayd fetch a source and become a command in it, as the pod of a test run does.
func TestFetchBecomes(t *testing.T) {
	source := artifactOf(t, map[string]string{"app/say.sh": "#!/bin/sh\necho \"$1 in $PWD\"\ncat text\nexit 3\n", "app/text": "a text\n", "app/plain": "no program"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/source" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(source)
	}))
	defer server.Close()
	tests := []struct {
		name, path string
		arguments  []string
		code       int
		says       string // standard output, or a part of the error
		message    string // a part of what Kubernetes is told; "" is nothing
	}{
		{"a command", "/source", []string{"--in=app", "--", "./say.sh", "word"}, 3, "word in DIR/app\na text\n", ""},
		{"a flag of the command", "/source", []string{"--in=app", "--", "sh", "-c", "echo $0 $1", "--in=x", "--", "y"}, 0, "--in=x --\n", ""},
		{"no source", "/none", []string{"--", "true"}, 125, "404", "slipwayd: fetching "},
		{"no folder", "/source", []string{"--in=other", "--", "true"}, 126, "the source has no folder other", "slipwayd: the source has no folder other"},
		{"no program", "/source", []string{"--", "nonesuch"}, 127, "running nonesuch", "slipwayd: running nonesuch"},
		{"none in the source", "/source", []string{"--", "./nonesuch"}, 127, "running ./nonesuch", "slipwayd: running ./nonesuch"},
		{"not executable", "/source", []string{"--in=app", "--", "./plain"}, 126, "running ./plain", "slipwayd: running ./plain"},
		{"fetch alone", "/source", nil, 0, "", ""},
		{"fetch alone, in vain", "/none", nil, 125, "404", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, message := t.TempDir(), filepath.Join(t.TempDir(), "message")
			if err := os.WriteFile(message, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			command := exec.Command(os.Args[0], append([]string{"fetch", "--message=" + message, server.URL + test.path, dir}, test.arguments...)...)
			command.Env = append(os.Environ(), asProgram+"=1")
			command.Stdout, command.Stderr = &stdout, &stderr
			err := command.Run()
			if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if code := command.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, test.code, &stdout, &stderr)
			}
			if test.code >= 125 {
				if !strings.Contains(stderr.String(), test.says) {
					t.Errorf("said %q, want %q", &stderr, test.says)
				}
			} else if want := strings.ReplaceAll(test.says, "DIR", dir); stdout.String() != want {
				t.Errorf("the command said %q, want %q", &stdout, want)
			}
			told, err := os.ReadFile(message)
			if err != nil || !strings.HasPrefix(string(told), test.message) || test.message == "" && len(told) > 0 {
				t.Errorf("Kubernetes is told %q, %v; want %q", told, err, test.message)
			}
			if content, err := os.ReadFile(filepath.Join(dir, "app", "text")); test.path == "/source" && string(content) != "a text\n" {
				t.Errorf("the source: %q, %v", content, err)
			}
		})
	}
}

// TestFetchIsTold has a fetch told to end while the source comes: Kubernetes must not take that for green tests.
func TestFetchIsTold(t *testing.T) {
	asked := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	var stdout bytes.Buffer
	command := exec.Command(os.Args[0], "fetch", "--message=", server.URL, t.TempDir(), "--", "echo", "green")
	command.Env = append(os.Environ(), asProgram+"=1")
	command.Stdout = &stdout
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if code := command.ProcessState.ExitCode(); code != exitNotFetched || stdout.Len() > 0 {
		t.Errorf("exit code %d, want %d; it said %q", code, exitNotFetched, &stdout)
	}
}

// artifactOf packs files as a source's layer.
func artifactOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	for name, content := range files {
		mode := int64(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}
