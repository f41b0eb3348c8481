package fastlane

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageOf makes an image of layers; each is a list of names and contents. A name with -> is a link.
func imageOf(t *testing.T, config v1.Config, layers ...[]string) v1.Image {
	t.Helper()
	image, err := mutate.Config(empty.Image, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, entries := range layers {
		var buffer bytes.Buffer
		archive := tar.NewWriter(&buffer)
		for i := 0; i < len(entries); i += 2 {
			name, content := entries[i], entries[i+1]
			header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
			if strings.HasSuffix(name, "/") {
				header.Typeflag = tar.TypeDir
			}
			if target, is := strings.CutPrefix(content, "-> "); is {
				header.Typeflag, header.Linkname, header.Size, content = tar.TypeSymlink, target, 0, ""
			}
			if err := archive.WriteHeader(header); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(archive, content)
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

func TestFind(t *testing.T) {
	image := imageOf(t, v1.Config{},
		[]string{"app/", "", "app/a", "lowest", "./app/dotted", "yes", "app/gone", "x", "old/deep/file", "x", "opaque/file", "x", "link", "file", "kept", "k"},
		[]string{"app/a", "middle", "app/.wh.gone", "", ".wh.old", "", "opaque/.wh..wh..opq", "", "link", "-> kept"},
		[]string{"app/a", "top"})
	for name, want := range map[string]string{"/app/a": "top", "/app/dotted": "yes", "/kept": "k", "/app/gone": "", "/old/deep/file": "", "/opaque/file": "", "/link": "", "/app": "", "/nowhere": ""} {
		got, err := find(image, []string{name, "/kept"})
		if err != nil {
			t.Fatal(err)
		}
		one, there := got[name]
		if there != (want != "") {
			t.Errorf("%s is found: %v, want %v", name, there, want != "")
		}
		if !there {
			continue
		}
		if text, err := one.read(); err != nil || string(text) != want || one.SHA256 != blobOf([]byte(want)).SHA256 {
			t.Errorf("%s = %q %v, want %q", name, text, err, want)
		}
	}
}

func TestRest(t *testing.T) {
	config := v1.Config{Entrypoint: []string{"/app/web"}}
	assets, program := []string{"assets/x", "1"}, []string{"app/", "", "app/web", "one", "app/text", "t"}
	base, err := restOf(imageOf(t, config, assets, program), "/app/web")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		image v1.Image
		want  string
	}{
		{"the same", imageOf(t, config, assets, program), ""},
		{"the program", imageOf(t, config, assets, []string{"app/", "", "app/web", "another", "app/text", "t"}), ""},
		{"beside the program", imageOf(t, config, assets, []string{"app/", "", "app/web", "one", "app/text", "other"}), "more than the program"},
		{"below the program", imageOf(t, config, []string{"assets/x", "2"}, program), "more than the program"},
		{"another layer", imageOf(t, config, assets, assets, program), "other layers"},
		{"settings", imageOf(t, v1.Config{Entrypoint: []string{"/app/web", "-v"}}, assets, program), "settings"},
	}
	for _, test := range tests {
		now, err := restOf(test.image, "/app/web")
		if err != nil {
			t.Fatal(err)
		}
		if got := base.differs(now); (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
