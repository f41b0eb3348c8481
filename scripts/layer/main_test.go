package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestPackIsDeterministicAndHoldsTheProgram(t *testing.T) {
	program := bytes.Repeat([]byte("slipwayd"), 10_000)
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := pack(out, "slipwayd", program); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two packings of the same program differ")
	}

	compressed, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "slipwayd" || header.Mode != 0o555 || header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
		t.Errorf("header = %+v, want slipwayd, mode 0555, owner 0:0, time 0", header)
	}
	content, err := io.ReadAll(archive)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content, program) {
		t.Errorf("the layer holds %d bytes, want the program's %d", len(content), len(program))
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("after the program: %v, want the end of the archive", err)
	}
}

func TestUpdatePacksOnlyWhatChanged(t *testing.T) {
	dir := t.TempDir()
	program, layer, stamp := filepath.Join(dir, "program"), filepath.Join(dir, "layers", "layer.tar.gz"), filepath.Join(dir, "stamp")
	run := func(content string) {
		t.Helper()
		if err := os.WriteFile(program, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := update("slipwayd", program, layer, stamp); err != nil {
			t.Fatal(err)
		}
	}
	identity := func() os.FileInfo {
		t.Helper()
		info, err := os.Stat(layer)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}

	run("one")
	first := identity()
	run("one")
	if !os.SameFile(first, identity()) {
		t.Error("the layer of an unchanged program was written again")
	}
	run("two")
	second := identity()
	if os.SameFile(first, second) {
		t.Error("the layer of a changed program was not written")
	}
	if err := os.WriteFile(layer, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	run("two")
	if info := identity(); info.Size() == int64(len("damaged")) {
		t.Error("a damaged layer was kept")
	}
}
