package tree

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// runGit runs the real git in a folder, without the settings of who runs the tests.
func runGit(t testing.TB, dir string, arguments ...string) string {
	t.Helper()
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("there is no git here: its Debian package is git")
	}
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(arguments, " "), err, &complaint)
	}
	return out.String()
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	full := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sourceByGit lists what git does not ignore.
func sourceByGit(t testing.TB, dir string) []string {
	t.Helper()
	out := runGit(t, dir, "ls-files", "-z", "--cached", "--others", "--exclude-per-directory=.gitignore")
	names := slices.DeleteFunc(strings.Split(out, "\x00"), func(name string) bool { return name == "" })
	slices.Sort(names)
	return names
}

func sourceByUs(t testing.TB, dir string) []string {
	t.Helper()
	rules, err := NewRules(dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := Read(t.Context(), rules)
	if err != nil {
		t.Fatal(err)
	}
	return names(tree)
}

func names(tree *Tree) []string {
	names := []string{}
	for _, f := range tree.Files {
		names = append(names, f.Name)
	}
	return names
}

// someFiles are what the patterns below are tried on.
var someFiles = []string{
	"a", "b", "a.log", "b.log", "sub/a", "sub/a.log", "sub/deep/a.log", "sub/deep/er/x.go", "sub/deep/er/a/n", "foo/bar/baz", "foo/x/bar/y", "foo/x/y",
	"x/foo/bar/file", "build/out", "sub/build/out", "sub/build.go", "doc/frotz/f", "c/doc/frotz/f", "a b", "trail ", "a-b", "a]b", "a[b", "a\\b", "#hash", "!bang",
	"*star", "é", "dé/x", "A.LOG", "file1", "file2", "filex", "foo1/2/bar", "z/foobar/q", "abc/def/ghi", "abc/ghi", ".hidden", "sub/.hidden/x", "tab\t",
	"a^b", "a!b", "q/w/e/r/t/y", "q/r/w/e", "q/y", "foo-bar", "fooabar",
}

// TestPatternsAsGit has each ignore file judged by git itself.
func TestPatternsAsGit(t *testing.T) {
	tests := []string{
		"*.log", "/*.log", "sub/*.log", "**/a.log", "sub/**", "sub/**/a.log", "/a", "a/", "build/", "/build", "build", "foo/bar", "/foo/bar", "foo/*", "foo/**/y",
		"doc/frotz", "doc/frotz/", "frotz/", "**/frotz/", "**", "*", "/*", "/**", "**/", "*/", "?", "???", "file?", "file[0-9]", "file[!0-9]", "file[^0-9]",
		"file[[:digit:]]", "file[[:alpha:]]", "file[[:nonsense:]]", "file[12", "a[]]b", "a[[]b", "a[\\]]b", "a[!]]b", "a[-]b", "a[a-]b", "a\\\\b", "\\*star", "\\#hash", "\\!bang",
		"#hash", "!bang", "trail\\ ", "trail ", "a b", "a\\ b", "tab\t", "é", "??", "[é]", "d?/x", "d??/x", "A.LOG", "*.LOG", "foo*bar", "foo?bar", "foo[/]bar", "foo[^a]bar",
		"q/**/y", "q/**/e/**/y", "q/**/**/y", "q/***/y", "**/w/**", "q/*/e", "**/*", "*a*", "a\\", "\\", "/", "!", "!/", "//", "foo//bar", "./a", "../a", "a/../b",
		"*.log\n!a.log", "*\n!a.log", "*\n!*/\n!*.go", "/*\n!/foo\n/foo/*\n!/foo/bar", "sub/\n!sub/a", "foo/bar\n!foo/bar/baz", "*.log\n!sub/deep\n!sub/deep/*.log", "sub/**\n!sub/**/\n!x.go",
		"\ufeffabc", "abc\r\na.log\r", "abc   ", "  abc", "a.log # no comment", "**/.hidden", ".*", ".*\n!.gitignore", "file[1-1]", "file[2-1]", "file[\\1-2]", "a[\\^]b", "a[!^]b", "[a-c]", "[[:alpha:]-c]",
		"sub/deep/*\n!sub/deep/er/", "!a\na", "a\n!a", "x/**/file", "**/foo/bar", "**/foo/**/bar", "foo1/**/bar", "z/foo**/q", "z/**bar/q", "abc/**/ghi", "abc/def/**", "abc/**/",
	}
	dir := t.TempDir()
	runGit(t, dir, "init", "-q")
	for _, name := range someFiles {
		write(t, dir, name, "")
	}
	for _, content := range tests {
		t.Run(content, func(t *testing.T) {
			write(t, dir, ".gitignore", content)
			if diff := cmp.Diff(sourceByGit(t, dir), sourceByUs(t, dir)); diff != "" {
				t.Errorf("with %q as .gitignore, source (-git +ours):\n%s", content, diff)
			}
		})
	}
}

// notCompared is what git itself has changed its mind about: two stars behind something other than a slash.
var notCompared = regexp.MustCompile(`[^/!\n]\*\*|\\/|\x00`)

// TestRandomPatternsAsGit puts ignore files together from what matters in them.
func TestRandomPatternsAsGit(t *testing.T) {
	dir := t.TempDir()
	runGit(t, dir, "init", "-q")
	for _, name := range someFiles {
		write(t, dir, name, "")
	}
	parts := []string{
		"a", "b", "o", "foo", "bar", "sub", "deep", "/", "/", "*", "*", "**/", "/**", "?", "[", "]", "!", "^", "-", "\\", ".", "log", " ", "\n", "\n!", "[a-z]", "[!f]",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var content strings.Builder
		for range 1 + random.IntN(9) {
			content.WriteString(parts[random.IntN(len(parts))])
		}
		if notCompared.MatchString(content.String()) {
			continue
		}
		write(t, dir, ".gitignore", content.String())
		if diff := cmp.Diff(sourceByGit(t, dir), sourceByUs(t, dir)); diff != "" {
			t.Errorf("with %q as .gitignore, source (-git +ours):\n%s", content.String(), diff)
		}
	}
}

// FuzzPatterns has git judge any ignore file.
func FuzzPatterns(f *testing.F) {
	for _, seed := range []string{"*.log\n!a.log", "/foo/**/y", "file[!0-9]", "sub/**\n!sub/**/", "a[\\]]b", "**/bar", "[[:alpha:]-c]", "a\\", "trail\\ "} {
		f.Add(seed)
	}
	dir := f.TempDir()
	runGit(f, dir, "init", "-q")
	for _, name := range someFiles {
		write(f, dir, name, "")
	}
	f.Fuzz(func(t *testing.T, content string) {
		if notCompared.MatchString(content) {
			t.Skip()
		}
		write(t, dir, ".gitignore", content)
		if diff := cmp.Diff(sourceByGit(t, dir), sourceByUs(t, dir)); diff != "" {
			t.Errorf("with %q as .gitignore, source (-git +ours):\n%s", content, diff)
		}
	})
}
