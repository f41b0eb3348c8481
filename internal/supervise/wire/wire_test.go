package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sum = strings.Repeat("0f", 32)

func TestRoundTrip(t *testing.T) {
	var line bytes.Buffer
	want := Change{ID: 3, Program: &Blob{Size: 4, SHA256: sum}, Files: []File{{Path: "/a/b", Mode: 0o644, Blob: Blob{SHA256: sum}}}, Removed: []string{"/a/c"}, Restart: true}
	if err := Write(&line, want); err != nil {
		t.Fatal(err)
	}
	line.WriteString("bytes")
	from := bufio.NewReader(&line)
	got, err := ReadChange(from)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	if rest, _ := io.ReadAll(from); string(rest) != "bytes" {
		t.Errorf("after the line comes %q, want the bytes", rest)
	}
}

func TestWrongChanges(t *testing.T) {
	tests := map[string]string{
		"no number":        `{}`,
		"no JSON":          `x`,
		"relative":         `{"id":1,"removed":["a"]}`,
		"the root":         `{"id":1,"removed":["/"]}`,
		"upwards":          `{"id":1,"removed":["/a/../b"]}`,
		"twice":            `{"id":1,"removed":["/a","/a"]}`,
		"twice, both ways": `{"id":1,"removed":["/a"],"files":[{"path":"/a","mode":420,"sha256":"` + sum + `"}]}`,
		"zero byte":        `{"id":1,"removed":["/a\u0000b"]}`,
		"setuid":           `{"id":1,"files":[{"path":"/a","mode":2541,"sha256":"` + sum + `"}]}`,
		"hash":             `{"id":1,"program":{"size":1,"sha256":"` + strings.ToUpper(sum) + `"}}`,
		"size":             `{"id":1,"program":{"size":-1,"sha256":"` + sum + `"}}`,
	}
	for name, line := range tests {
		if change, err := ReadChange(bufio.NewReader(strings.NewReader(line + "\n"))); err == nil {
			t.Errorf("%s: %+v is taken for good", name, change)
		}
	}
	if _, err := ReadChange(bufio.NewReader(strings.NewReader(""))); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want io.EOF", err)
	}
	if _, err := ReadChange(bufio.NewReader(strings.NewReader(`{"id":1}`))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a line: %v", err)
	}
	if _, err := ReadHello(bufio.NewReader(strings.NewReader(strings.Repeat("x", helloLimit+1) + "\n"))); err == nil {
		t.Error("a long hello is taken")
	}
}

// FuzzReadChange makes sure that nothing that is let through leaves the rules, and that nothing panics.
func FuzzReadChange(f *testing.F) {
	f.Add([]byte(`{"id":1,"program":{"size":1,"sha256":"` + sum + `"},"files":[{"path":"/a","mode":420,"sha256":"` + sum + `"}],"removed":["/b"]}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		change, err := ReadChange(bufio.NewReader(bytes.NewReader(line)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, change); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadChange(bufio.NewReader(&again)); err != nil {
			t.Errorf("%q was let through, and is wrong when written again: %v", line, err)
		}
	})
}
