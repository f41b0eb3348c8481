package gobinary_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/gobinary"
)

// learn has the builder learn all that it wants to.
func learn(t *testing.T, b *gobinary.Builder) {
	t.Helper()
	ended := b.Learn(t.Context())
	if ended == nil {
		t.Fatal("there is nothing to learn")
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it takes for ever to learn")
	}
}

const withPackage = hello + `-- text/text.go --
package text

// Of is a text.
func Of() string { return "1" }
`

const usesPackage = "package main\n\nimport \"example.com/hello/text\"\n\nfunc main() { println(%q, text.Of()) }\n"

func usingPackage(text string) string { return fmt.Sprintf(usesPackage, text) }

// TestLearn saves what can be compiled without the go command, and what cannot: each image is that of a builder that
// has learnt nothing.
func TestLearn(t *testing.T) {
	for _, test := range []struct {
		name   string
		config appfile.Go
		saves  []string // of the main package, unless they begin with the name of a file and a colon
		want   int      // calls of go build after the first
	}{
		{"the main package", appfile.Go{}, []string{usingPackage("a"), usingPackage("b"), usingPackage("a")}, 0},
		{"another package", appfile.Go{}, []string{"text/text.go:package text\n\n// Of is a text.\nfunc Of() string { return \"2\" }\n", usingPackage("b")}, 0},
		{"another file", appfile.Go{}, []string{"more.go:package main\n\nfunc init() { println(1) }\n", usingPackage("b"), usingPackage("c")}, 1},
		{"other imports", appfile.Go{}, []string{program("new"), program("newer"), usingPackage("b")}, 2},
		{"a text", appfile.Go{}, []string{"README.md:text", "README.md:more"}, 1}, // the first time it is another file
		{"linker's flags", appfile.Go{LDFlags: []string{"-w", "-X main.version=1"}}, []string{usingPackage("b")}, 0},
		{"tags", appfile.Go{Tags: []string{"more"}}, []string{usingPackage("b"), "more.go://go:build more\n\npackage main\n", usingPackage("c")}, 1},
		{"linker's flags with quotes", appfile.Go{LDFlags: []string{"-X 'main.version=1 2'"}}, []string{usingPackage("b")}, 1},
		{"other flags", appfile.Go{Flags: []string{"-gcflags=-l"}}, []string{usingPackage("b")}, 1},
		{"a platform that is not this one's", appfile.Go{Env: map[string]string{"GOAMD64": "v2"}}, []string{usingPackage("b")}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := unpack(t, withPackage)
			save(t, dir, "main.go", usingPackage("0"))
			calls := countCalls(t)
			b := newBuilderOf(t, test.config)
			digestOf(t, b, request(dir))
			others := 1
			for i, content := range test.saves {
				if ended := b.Learn(t.Context()); ended != nil {
					<-ended
				}
				name := "main.go"
				if file, text, ok := strings.Cut(content, ":"); ok && !strings.ContainsAny(file, " \n") {
					name, content = file, text
				}
				save(t, dir, name, content)
				r := request(dir)
				if i%2 == 1 {
					r = marked(r, uint64(i+1))
					b.Begin(t.Context(), r)
				}
				got := digestOf(t, b, r)
				if want := digestOf(t, newBuilderOf(t, test.config), request(dir)); got != want {
					t.Errorf("after save %d the image is %s, and %s of a builder that has learnt nothing", i, got, want)
				}
				others++ // that builder's
			}
			if count := calls.count(t, "begun") - others; count != test.want {
				t.Errorf("go build was called %d times, want %d", count, test.want)
			}
		})
	}
}

// TestLearntErrors makes a mistake: the go command tells of it, and what was learnt stays.
func TestLearntErrors(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", "package main\n\nfunc main() { undefined() }\n")
	_, err := b.Build(t.Context(), request(dir))
	if wrong, ok := errors.AsType[*build.SourceError](err); !ok || !strings.Contains(wrong.Output, "./main.go:3:15: undefined: undefined") {
		t.Errorf("the compiler complains: %v", err)
	}
	if count := calls.count(t, "begun"); count != 2 {
		t.Errorf("go build was called %d times", count)
	}
	save(t, dir, "main.go", program("new"))
	if digestOf(t, b, request(dir)) == first {
		t.Error("another source gives the same image")
	}
	if count := calls.count(t, "begun"); count != 2 {
		t.Errorf("go build was called %d times when it was mended", count)
	}
}

// TestLearntAndBegun begins what comes to nothing: the next image is of the source, and not of what was begun.
func TestLearntAndBegun(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", program("new"))
	ended := b.Begin(t.Context(), marked(request(dir), 1))
	<-ended
	save(t, dir, "main.go", program("ahoy"))
	if got := digestOf(t, b, request(dir)); got != first {
		t.Errorf("the image is %s, and was %s when the source was the same", got, first)
	}
	save(t, dir, "main.go", program("new"))
	if got := digestOf(t, b, request(dir)); got == first {
		t.Error("another source gives the same image")
	}
	if count := calls.count(t, "begun"); count != 1 {
		t.Errorf("go build was called %d times", count)
	}
}

// TestLearningEnds ends a lesson in each way that there is. There is another one after the next build.
func TestLearningEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, b *gobinary.Builder, r build.Request, cancel func()){
		"Build":       func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) { digestOf(t, b, r) },
		"Begin":       func(t *testing.T, b *gobinary.Builder, r build.Request, _ func()) { b.Begin(t.Context(), marked(r, 1)) },
		"its context": func(_ *testing.T, _ *gobinary.Builder, _ build.Request, cancel func()) { cancel() },
		"Close": func(t *testing.T, b *gobinary.Builder, _ build.Request, _ func()) {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, hello)
			b := newBuilder(t)
			digestOf(t, b, request(dir))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := b.Learn(ctx)
			end(t, b, request(dir), cancel)
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("it goes on")
			}
			digestOf(t, b, request(dir))
			learn(t, b)
			save(t, dir, "main.go", program("new"))
			calls := countCalls(t)
			digestOf(t, b, request(dir))
			if count := calls.count(t, "begun"); count != 0 {
				t.Errorf("go build was called %d times", count)
			}
		})
	}
}

// TestEndedAfterTheProgramWasMade ends a build of the go command's when its program is there already, and undoes the save: the
// image is the old one.
func TestEndedAfterTheProgramWasMade(t *testing.T) {
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	first := digestOf(t, b, request(dir))
	learn(t, b)
	calls.late(t)
	save(t, dir, "main.go", "package main\n\nimport \"os\"\n\nfunc main() { println(len(os.Args)) }\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for calls.count(t, "made") == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := b.Build(ctx, request(dir)); !errors.Is(err, context.Canceled) {
		t.Fatalf("it returns %v", err)
	}
	save(t, dir, "main.go", program("ahoy"))
	if got := digestOf(t, b, request(dir)); got != first {
		t.Errorf("the image is %s, and was %s when the source was the same", got, first)
	}
}

// TestEndedAfterTheProgramWasLinked is the same without the go command, where only chance has it ended at that moment.
func TestEndedAfterTheProgramWasLinked(t *testing.T) {
	dir := unpack(t, hello)
	b := newBuilder(t)
	built, err := b.Build(t.Context(), request(dir))
	if err != nil {
		t.Fatal(err)
	}
	first, err := built.Image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	learn(t, b)
	ended := 0
	for try := range 20 {
		before, err := os.Stat(built.Program.File)
		if err != nil {
			t.Fatal(err)
		}
		save(t, dir, "main.go", program(fmt.Sprint(try)))
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for ; ctx.Err() == nil; time.Sleep(100 * time.Microsecond) {
				for _, name := range []string{"program", "begun"} {
					if now, err := os.Stat(filepath.Join(filepath.Dir(built.Program.File), name)); err == nil && !os.SameFile(before, now) {
						cancel()
					}
				}
			}
		}()
		if _, err := b.Build(ctx, request(dir)); err != nil {
			ended++
		}
		cancel()
		save(t, dir, "main.go", program("ahoy"))
		if got := digestOf(t, b, request(dir)); got != first {
			t.Fatalf("after try %d the image is %s, and was %s when the source was the same", try, got, first)
		}
	}
	t.Logf("%d of 20 builds were ended", ended)
}

// TestLinkedFolder has a source behind a symbolic link, which then leads somewhere else.
func TestLinkedFolder(t *testing.T) {
	one, two, link := unpack(t, hello), unpack(t, hello), filepath.Join(t.TempDir(), "current")
	save(t, two, "main.go", program("two"))
	if err := os.Symlink(one, link); err != nil {
		t.Fatal(err)
	}
	b, calls := newBuilder(t), countCalls(t)
	first := digestOf(t, b, request(link))
	learn(t, b)
	save(t, one, "main.go", program("one"))
	if digestOf(t, b, request(link)) == first || calls.count(t, "begun") != 1 {
		t.Errorf("go build was called %d times", calls.count(t, "begun"))
	}
	if err := errors.Join(os.Remove(link), os.Symlink(two, link)); err != nil {
		t.Fatal(err)
	}
	if got, want := digestOf(t, b, request(link)), digestOf(t, newBuilder(t), request(two)); got != want {
		t.Errorf("the image is %s, and %s of the folder that the link leads to now", got, want)
	}
}

// TestLinkedFolderWithIgnoredFiles hides the same behind a link as without it.
func TestLinkedFolderWithIgnoredFiles(t *testing.T) {
	dir, link := unpack(t, hello), filepath.Join(t.TempDir(), "current")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	want := digestOf(t, newBuilder(t), request(dir))
	save(t, dir, ".slipwayignore", "more.go\n")
	save(t, dir, "more.go", "package main\n\nfunc init() { println(\"more\") }\n")
	if got := digestOf(t, newBuilder(t), request(link)); got != want {
		t.Errorf("the image is %s, and %s without the ignored file", got, want)
	}
}

// TestSettingsChange writes another setting, as `go env -w` does, between a build and the next: no lesson takes it for the old.
func TestSettingsChange(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "env")
	t.Setenv("GOENV", settings)
	t.Setenv("GOFLAGS", "") // which is back after the test, and would win
	if err := os.Unsetenv("GOFLAGS"); err != nil {
		t.Fatal(err)
	}
	dir, calls := unpack(t, hello), countCalls(t)
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	learn(t, b)
	save(t, filepath.Dir(settings), "env", "GOFLAGS=-gcflags=-l\n")
	for i := range 3 {
		save(t, dir, "main.go", fmt.Sprintf("package main\n\nfunc main() { println(small(%d)) }\n\nfunc small(i int) int { return i + 1 }\n", i))
		before := calls.count(t, "begun")
		got := digestOf(t, b, request(dir))
		if calls.count(t, "begun") == before {
			t.Errorf("%d: it was built without the go command", i)
		}
		if want := digestOf(t, newBuilder(t), request(dir)); got != want {
			t.Errorf("%d: the image is %s, and %s of a builder that has learnt nothing", i, got, want)
		}
		if ended := b.Learn(t.Context()); ended != nil {
			<-ended
		}
	}
	save(t, filepath.Dir(settings), "env", "")
	fresh := request(dir)
	fresh.Fresh = true
	digestOf(t, b, fresh)
	learn(t, b)
	save(t, dir, "main.go", program("new"))
	before := calls.count(t, "begun")
	if got, want := digestOf(t, b, request(dir)), digestOf(t, newBuilder(t), request(dir)); got != want || calls.count(t, "begun") != before+1 {
		t.Errorf("the image is %s, and %s of a builder that has learnt nothing; go build was called %d times", got, want, calls.count(t, "begun")-before)
	}
}

// TestLessonsThatCameToNothing has lessons cut, and saves between that do not build: there is one right after the next that does.
func TestLessonsThatCameToNothing(t *testing.T) {
	dir := unpack(t, hello)
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	ctx, cancel := context.WithCancel(t.Context())
	ended := b.Learn(ctx)
	cancel()
	<-ended
	save(t, dir, "main.go", "package main\n\nfunc main() { mistake }\n")
	if _, err := b.Build(t.Context(), request(dir)); err == nil {
		t.Fatal("it builds")
	}
	if b.Learn(t.Context()) != nil {
		t.Error("it learns from what does not build")
	}
	save(t, dir, "main.go", program("a"))
	digestOf(t, b, request(dir))
	ended = b.Learn(t.Context())
	save(t, dir, "main.go", program("b"))
	<-ended
	digestOf(t, b, request(dir))
	if ended := b.Learn(t.Context()); ended != nil { // else the save came after all of the lesson
		<-ended
	}
	save(t, dir, "main.go", program("c"))
	calls := countCalls(t)
	digestOf(t, b, request(dir))
	if count := calls.count(t, "begun"); count != 0 {
		t.Errorf("go build was called %d times", count)
	}
}

// TestForgets has what makes the builder use the go command again.
func TestForgets(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string, r *build.Request){
		"a fresh build":  func(_ *testing.T, _ string, r *build.Request) { r.Fresh = true },
		"an environment": func(_ *testing.T, _ string, r *build.Request) { r.Env = map[string]string{"GOAMD64": "v3"} },
		"vendored modules": func(t *testing.T, dir string, _ *build.Request) {
			if err := os.Mkdir(filepath.Join(dir, "vendor"), 0o755); err != nil {
				t.Fatal(err)
			}
			save(t, dir, "vendor/modules.txt", "")
		},
		"its program is gone": func(t *testing.T, _ string, _ *build.Request) {
			programs, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "slipway-build-*", "program"))
			if err != nil || len(programs) != 1 {
				t.Fatalf("%v (%v)", programs, err)
			}
			if err := os.Remove(programs[0]); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			dir, calls := unpack(t, hello), countCalls(t)
			b := newBuilder(t)
			digestOf(t, b, request(dir))
			learn(t, b)
			r := request(dir)
			change(t, dir, &r)
			got := digestOf(t, b, r)
			want := 2
			if name == "its program is gone" {
				want = 1 // it is linked again
			}
			if count := calls.count(t, "begun"); count != want {
				t.Errorf("go build was called %d times, want %d", count, want)
			}
			if want := digestOf(t, newBuilder(t), r); got != want {
				t.Errorf("the image is %s, and %s of a builder that has learnt nothing", got, want)
			}
		})
	}
}

// TestLearnsNothing has flags of which it is not known what they do, and modules that may change unseen.
func TestLearnsNothing(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, dir string){
		"flags":       func(t *testing.T, _ string) { t.Setenv("GOFLAGS", "-gcflags=-l") },
		"a workspace": func(t *testing.T, dir string) { save(t, dir, "go.work", "go 1.24\n\nuse .\n") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := unpack(t, hello)
			set(t, dir)
			b := newBuilder(t)
			digestOf(t, b, request(dir))
			if b.Learn(t.Context()) != nil {
				t.Error("it learns")
			}
		})
	}
}

// TestLessonsThatFail has a source that no plan fits: it is tried less and less often, and at once when there are other files.
func TestLessonsThatFail(t *testing.T) {
	dir := unpack(t, hello+"-- more_amd64.s --\n")
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	var lessons []int
	for i := range 16 {
		if ended := b.Learn(t.Context()); ended != nil {
			<-ended
			lessons = append(lessons, i)
		}
		save(t, dir, "main.go", program(fmt.Sprint(i)))
		digestOf(t, b, request(dir))
	}
	if diff := cmp.Diff([]int{0, 1, 3, 7, 15}, lessons); diff != "" {
		t.Errorf("lessons after builds (-want +got):\n%s", diff)
	}
	if err := os.Remove(filepath.Join(dir, "more_amd64.s")); err != nil {
		t.Fatal(err)
	}
	digestOf(t, b, request(dir))
	learn(t, b)
}

// TestBaseOfMany saves a package that more packages import than are compiled without the go command.
func TestBaseOfMany(t *testing.T) {
	var source, calls strings.Builder
	source.WriteString("-- go.mod --\nmodule example.com/many\n\ngo 1.24\n-- base/base.go --\npackage base\n\n// X is.\nconst X = 1\n-- main.go --\npackage main\n\n")
	for i := range 20 {
		fmt.Fprintf(&source, "import \"example.com/many/p%d\"\n", i)
		fmt.Fprintf(&calls, "-- p%d/p.go --\npackage p%[1]d\n\nimport \"example.com/many/base\"\n\n// Do does.\nfunc Do() { println(base.X) }\n", i)
	}
	source.WriteString("\nfunc main() {\n")
	for i := range 20 {
		fmt.Fprintf(&source, "\tp%d.Do()\n", i)
	}
	source.WriteString("}\n" + calls.String())
	dir := unpack(t, source.String())
	b, builds := newBuilder(t), countCalls(t)
	digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "base/base.go", "package base\n\n// X is.\nconst X = 2\n")
	digestOf(t, b, request(dir))
	learn(t, b)
	before := builds.count(t, "begun")
	main, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, dir, "main.go", string(main)+"\nfunc init() { println(1) }\n")
	got := digestOf(t, b, request(dir))
	if count := builds.count(t, "begun") - before; count != 0 {
		t.Errorf("go build was called %d times for the main package", count)
	}
	if want := digestOf(t, newBuilder(t), request(dir)); got != want {
		t.Errorf("the image is %s, and %s of a builder that has learnt nothing", got, want)
	}
}

// TestLearnLeavesNothing looks for what is left behind.
func TestLearnLeavesNothing(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := unpack(t, hello)
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	learn(t, b)
	save(t, dir, "main.go", program("new"))
	digestOf(t, b, request(dir))
	b.Learn(t.Context())
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}
