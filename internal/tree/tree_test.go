package tree

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		below string   // the directory, in the repository
		odd   []string // further paths that are no source
		want  []string
	}{
		{
			name:  "everything, in order",
			files: map[string]string{"b": "", "a/x": "", "a-b": "", "a.go": ""},
			want:  []string{"a-b", "a.go", "a/x", "b"},
		},
		{
			name: "what is never source",
			files: map[string]string{
				".git/config": "", "sub/.git": "", "node_modules/x/i.js": "", "web/node_modules/i.js": "", ".idea/x": "", ".vscode/x": "", ".a.go.swp": "", "4913": "",
				"a~": "", "#a#": "", "x.tmp": "", "a": "", "vendor/v.go": "",
			},
			want: []string{"a", "vendor/v.go"},
		},
		{
			name:  "nested files, the deepest first",
			files: map[string]string{".gitignore": "*.log\n", "sub/.gitignore": "!kept.log\n", "a.log": "", "kept.log": "", "sub/b.log": "", "sub/kept.log": "", "sub/deep/kept.log": ""},
			want:  []string{".gitignore", "sub/.gitignore", "sub/deep/kept.log", "sub/kept.log"},
		},
		{
			name:  "nothing comes back from a folder that is out",
			files: map[string]string{".gitignore": "out/\n", "out/.gitignore": "!*\n", "out/a": ""},
			want:  []string{".gitignore"},
		},
		{
			name: ".slipwayignore wins, both ways",
			files: map[string]string{
				".slipwayignore": "docs/\n!gen/\n!x.tmp\n!/node_modules\n!.git\n", "gen/.gitignore": "*.c\n", ".gitignore": "gen/\n!docs/\n", "docs/a": "", "gen/a.go": "", "gen/b.c": "",
				"x.tmp": "", "y.tmp": "", "node_modules/m.js": "", ".git/HEAD": "",
			},
			want: []string{".gitignore", ".slipwayignore", "gen/.gitignore", "gen/a.go", "node_modules/m.js", "x.tmp"},
		},
		{
			name:  "rules above the directory, up to the repository",
			below: "app/one",
			files: map[string]string{
				".git/HEAD": "", ".gitignore": "/app/one/bin/\n*.o\n", "app/.slipwayignore": "one/notes\n", "app/one/bin/x": "", "app/one/a.o": "", "app/one/a.c": "", "app/one/notes": "",
			},
			want: []string{"a.c"},
		},
		{
			name:  "a directory that its repository ignores stands for itself",
			below: "out/app",
			files: map[string]string{".git/HEAD": "", ".gitignore": "/out/*\n*.c\n", "out/app/a.c": "", "out/app/b.c": "", "out/app/.gitignore": "b.c"},
			want:  []string{".gitignore", "a.c"},
		},
		{
			name:  "paths that were named",
			files: map[string]string{"report.xml": "", "sub/report.xml": "", "out/x": ""},
			odd:   []string{"report.xml", "out", "../report.xml"},
			want:  []string{"sub/report.xml"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range test.files {
				write(t, dir, name, content)
			}
			root := filepath.Join(dir, test.below)
			var ignored []string
			for _, name := range test.odd {
				ignored = append(ignored, filepath.Join(root, name))
			}
			rules, err := NewRules(root, ignored...)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := Read(t.Context(), rules)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(tree)); diff != "" {
				t.Errorf("source (-want +got):\n%s", diff)
			}
			for _, name := range names(tree) {
				if rules.Ignores(name, false) {
					t.Errorf("%s is listed, and ignored", name)
				}
			}
		})
	}
}

func read(t testing.TB, dir string) *Tree {
	t.Helper()
	rules, err := NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Read(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func link(t *testing.T, dir, name, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestArchive looks at every entry of an archive with each kind of file in it.
func TestArchive(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "sub/deep/a.txt", "hello")
	write(t, dir, "run.sh", "#!/bin/sh\n")
	write(t, dir, "empty/.gitignore", "*")
	if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "sub/deep/a.txt"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, dir, "inside", "sub/deep/a.txt")
	link(t, dir, "sub/up", "../run.sh")
	link(t, dir, "absolute", "/etc/passwd")
	link(t, dir, "outside", "../x")
	link(t, dir, "here", ".")
	link(t, dir, "roundabout", "here/../x") // the folder above dir, if links are followed
	socket, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()

	tree := read(t, dir)
	if diff := cmp.Diff([]string{"absolute", "outside", "roundabout", "socket"}, tree.Odd); diff != "" {
		t.Errorf("odd (-want +got):\n%s", diff)
	}
	type entry struct {
		Kind          byte
		Name, Content string
		Mode          int64
	}
	want := []entry{
		{tar.TypeSymlink, "here", ".", 0o777},
		{tar.TypeSymlink, "inside", "sub/deep/a.txt", 0o777},
		{tar.TypeReg, "run.sh", "#!/bin/sh\n", 0o755},
		{tar.TypeDir, "sub/", "", 0o755},
		{tar.TypeDir, "sub/deep/", "", 0o755},
		{tar.TypeReg, "sub/deep/a.txt", "hello", 0o644},
		{tar.TypeSymlink, "sub/up", "../run.sh", 0o777},
	}
	var packed bytes.Buffer
	if err := tree.WriteTar(t.Context(), &packed); err != nil {
		t.Fatal(err)
	}
	var got []entry
	for archive := tar.NewReader(&packed); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if header.ModTime.Unix() != 0 || header.Uid != 0 || header.Gid != 0 || header.Uname != "" || header.Gname != "" {
			t.Errorf("%s has a time or an owner: %+v", header.Name, header)
		}
		got = append(got, entry{header.Typeflag, header.Name, string(content) + header.Linkname, header.Mode})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}
}

func digest(t *testing.T, tree *Tree) string {
	t.Helper()
	digest, err := tree.Digest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestDigest has equal trees in two folders, and then every way in which they can differ.
func TestDigest(t *testing.T) {
	equal := func(t *testing.T) string {
		dir := t.TempDir()
		write(t, dir, "a", "1")
		write(t, dir, "sub/b", "2")
		write(t, dir, ".gitignore", "*.log\n")
		return dir
	}
	first := digest(t, read(t, equal(t)))
	tests := map[string]struct {
		do   func(t *testing.T, dir string)
		same bool
	}{
		"nothing":      {func(*testing.T, string) {}, true},
		"ignored":      {func(t *testing.T, dir string) { write(t, dir, "x.log", "1") }, true},
		"empty folder": {func(t *testing.T, dir string) { write(t, dir, "new/x.log", "1") }, true},
		"content":      {func(t *testing.T, dir string) { write(t, dir, "a", "2") }, false},
		"name": {func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "c")); err != nil {
				t.Fatal(err)
			}
		}, false},
		"mode": {func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, false},
		"more": {func(t *testing.T, dir string) { write(t, dir, "c", "") }, false},
		"link": {func(t *testing.T, dir string) { link(t, dir, "l", "a") }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := equal(t)
			test.do(t, dir)
			if got := digest(t, read(t, dir)); (got == first) != test.same {
				t.Errorf("digest %s, before %s", got, first)
			}
		})
	}
}

// TestArchiveOfWhatChanged has the files become something else between the list and the archive.
func TestArchiveOfWhatChanged(t *testing.T) {
	t.Run("gone", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "a", "1")
		tree := read(t, dir)
		if err := os.Remove(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Digest(t.Context()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a link that leads out", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "a", "1")
		tree := read(t, dir)
		if err := os.Remove(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
		link(t, dir, "a", "/etc/passwd")
		if _, err := tree.Digest(t.Context()); err == nil {
			t.Error("what a link out of the tree leads to was archived")
		}
	})
}

func TestReadWhatIsNotThere(t *testing.T) {
	rules, err := NewRules(filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), rules); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestIgnored(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.go", "b.log", "out/x.go", "out/deep/y.go", "node_modules/m.js", ".git/HEAD", "out/node_modules/m.js"} {
		write(t, dir, name, "")
	}
	write(t, dir, ".gitignore", "*.log\nout/\n")
	rules, err := NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := rules.Ignored(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b.log", "out/deep/y.go", "out/x.go"}, got); diff != "" {
		t.Errorf("ignored (-want +got):\n%s", diff)
	}
}

func TestDockerContext(t *testing.T) {
	files := map[string]string{
		"Dockerfile": "", "a.go": "", "docs/a.md": "", "docs/README.md": "", "sub/x.md": "", "secret.log": "", ".gitignore": "*.log\n", "build/Dockerfile": "", "bin/tool": "",
	}
	tests := []struct {
		name, dockerfile string
		ignore           map[string]string
		want             []string
	}{
		{
			name: "none", dockerfile: "Dockerfile",
			want: []string{".gitignore", "Dockerfile", "a.go", "bin/tool", "build/Dockerfile", "docs/README.md", "docs/a.md", "sub/x.md"},
		},
		{
			// Unlike git's, Docker's patterns are for the top alone, and an exception brings back what is in a folder.
			name: "Docker's own meaning", dockerfile: "Dockerfile", ignore: map[string]string{".dockerignore": "# all text\n*.md\ndocs\n!docs/README.md\nbin/\nDockerfile\n.dockerignore\n!secret.log\n"},
			want: []string{".dockerignore", ".gitignore", "Dockerfile", "a.go", "build/Dockerfile", "docs/README.md", "sub/x.md"},
		},
		{
			name: "one of the Dockerfile's own", dockerfile: "build/Dockerfile",
			ignore: map[string]string{".dockerignore": "**\n", "build/Dockerfile.dockerignore": "**/*.md\nbuild\n"},
			want:   []string{".dockerignore", ".gitignore", "Dockerfile", "a.go", "bin/tool", "build/Dockerfile", "build/Dockerfile.dockerignore"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, group := range []map[string]string{files, test.ignore} {
				for name, content := range group {
					write(t, dir, name, content)
				}
			}
			context, err := read(t, dir).DockerContext(test.dockerfile)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, names(context)); diff != "" {
				t.Errorf("context (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDockerContextThatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, ".dockerignore", "[a-\n")
	if _, err := read(t, dir).DockerContext("Dockerfile"); err == nil {
		t.Error("a pattern that is wrong was passed over")
	}
}
