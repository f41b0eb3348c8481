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

func TestPackIsDeterministicAndHoldsThePrograms(t *testing.T) {
	programs := []program{{name: "slipwayd"}, {name: "slipway-init"}}
	contents := [][]byte{bytes.Repeat([]byte("slipwayd"), 10_000), []byte("init")}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := pack(out, programs, contents); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two packings of the same programs differ")
	}

	compressed, err := gzip.NewReader(&first)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(compressed)
	for i, one := range programs {
		header, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if header.Name != one.name || header.Mode != 0o555 || header.Uid != 0 || header.Gid != 0 || header.ModTime.Unix() != 0 {
			t.Errorf("header = %+v, want %s, mode 0555, owner 0:0, time 0", header, one.name)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content, contents[i]) {
			t.Errorf("the layer holds %d bytes, want the program's %d", len(content), len(contents[i]))
		}
	}
	if _, err := archive.Next(); err != io.EOF {
		t.Errorf("after the programs: %v, want the end of the archive", err)
	}
}

func TestUpdatePacksOnlyWhatChanged(t *testing.T) {
	dir := t.TempDir()
	path, layer, stamp := filepath.Join(dir, "program"), filepath.Join(dir, "layers", "layer.tar.gz"), filepath.Join(dir, "stamp")
	run := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := update([]program{{name: "slipwayd", path: path}}, layer, stamp); err != nil {
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
