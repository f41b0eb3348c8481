package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/build/layer"
)

// foreign is a layer as an engine makes it, of a time.
func foreign(t *testing.T, when time.Time) v1.Layer {
	t.Helper()
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	for _, header := range []*tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/a", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 5, Gid: 6, Size: 3, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}},
		{Name: "bin/b", Typeflag: tar.TypeLink, Linkname: "bin/a"},
		{Name: "bin/c", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		{Name: ".wh.gone", Typeflag: tar.TypeReg},
	} {
		header.ModTime, header.AccessTime, header.ChangeTime, header.Format = when, when, when, tar.FormatPAX
		if err := writer.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if header.Size > 0 {
			if _, err := writer.Write([]byte("abc")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestCopyFixesTheTimesAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	one, err := layer.Copy(foreign(t, time.Unix(1_700_000_000, 5)), filepath.Join(dir, "one"), true)
	if err != nil {
		t.Fatal(err)
	}
	two, err := layer.Copy(foreign(t, time.Unix(1_800_000_000, 0)), filepath.Join(dir, "two"), true)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := one.Digest()
	if second, _ := two.Digest(); first != second {
		t.Errorf("at two times it is %s and %s", first, second)
	}
	stream, err := one.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	seen := map[string]*tar.Header{}
	for reader := tar.NewReader(stream); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(layer.Epoch()) || !header.AccessTime.IsZero() || !header.ChangeTime.IsZero() {
			t.Errorf("%s is of %s, %s, %s", header.Name, header.ModTime, header.AccessTime, header.ChangeTime)
		}
		seen[header.Name] = header
	}
	a := seen["bin/a"]
	if a == nil || a.Mode != 0o4755 || a.Uid != 5 || a.Gid != 6 || a.PAXRecords["SCHILY.xattr.user.a"] != "b" {
		t.Errorf("bin/a is %+v", a)
	}
	if len(seen) != 5 || seen["bin/b"].Linkname != "bin/a" || seen["bin/b"].Typeflag != tar.TypeLink || seen["bin/c"].Linkname != "/etc" {
		t.Errorf("the entries are %v", seen)
	}
}

func TestCopyAsItIs(t *testing.T) {
	from := foreign(t, time.Unix(1_700_000_000, 0))
	kept, err := layer.Copy(from, filepath.Join(t.TempDir(), "kept"), false)
	if err != nil {
		t.Fatal(err)
	}
	want, err := from.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := kept.DiffID(); got != want {
		t.Errorf("the layer is %s, want %s", got, want)
	}
}

func TestFromFolderIsTheSameEverywhere(t *testing.T) {
	made := func(mode os.FileMode) v1.Hash {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "a", "empty"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "a", "run"), []byte("x"), mode); err != nil {
			t.Fatal(err)
		}
		files, err := layer.FromFolder(dir, nil, "/app")
		if err != nil {
			t.Fatal(err)
		}
		packed, err := layer.Plain(layer.WithFolders(files))
		if err != nil {
			t.Fatal(err)
		}
		sum, err := packed.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	if made(0o700) != made(0o755) {
		t.Error("the permissions of other users change the digest")
	}
	if made(0o600) == made(0o700) {
		t.Error("whether it may be run does not change the digest")
	}
}
