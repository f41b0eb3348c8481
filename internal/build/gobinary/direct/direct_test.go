package direct_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/internal/build/gobinary/direct"
)

// shop has packages in a row and one beside them, one that embeds a file, and one that only a test imports.
const shop = `
-- go.mod --
module example.com/shop

go 1.24
-- go.sum --
-- .go-version --
1.24
-- README.md --
text
-- cmd/shop/main.go --
// Program shop sells.
package main

import (
	"fmt"
	"os"

	"example.com/shop/price"
	"example.com/shop/texts"
)

func main() { fmt.Fprintln(os.Stdout, texts.Greeting(), texts.Pages, texts.Shown, price.Source, price.TaxSource, price.Of("tea")) }
-- price/price.go --
// Package price knows prices.
package price

import (
	_ "embed"

	"example.com/shop/fast"
	"example.com/shop/price/tax"
)

//go:embed price.go
var Source string

//go:embed tax/tax.go
var TaxSource string

// Of is a price.
func Of(what string) int { return tax.Add(len(what)) + discount() + fast.Two() }
-- price/discount.go --
package price

func discount() int { return 1 }
-- price/off.go --
//go:build ignore

package price

func init() { panic(1) }
-- price/price_test.go --
package price

import (
	_ "embed"
	"testing"

	"example.com/shop/helper"
)

//go:embed price.go
var source string

func TestOf(t *testing.T) { helper.Equal(t, Of("tea"), 5) }
-- price/tax/tax.go --
package tax

const rate = 2

// Add adds the tax.
func Add(price int) int { return price + rate }
-- price/tax/tax_windows.go --
package tax

const windows = true
-- texts/texts.go --
package texts

import "embed"

//go:embed greeting.txt
var greeting string

//go:embed pages/*.html pages/sub
//go:embed all:pages/_hidden "pages/a file.html"
var Pages embed.FS

//go:embed pages
var Shown embed.FS

// Greeting greets.
func Greeting() string { return greeting }
-- texts/greeting.txt --
hello
-- texts/pages/a.html --
<a>
-- texts/pages/a file.html --
a file
-- texts/pages/_hidden/b.html --
<i>
-- texts/pages/_hidden/.c.html --
<c>
-- texts/pages/sub/d.html --
<d>
-- texts/pages/sub/_e.html --
<e>
-- fast/fast.go --
package fast

// Two is two.
func Two() int
-- fast/one.go --
package fast

// One is one.
const One = 1
-- fast/fast_amd64.s --
TEXT ·Two(SB), 4, $0-8
	MOVQ $2, ret+0(FP)
	RET
-- fast/fast_arm64.s --
TEXT ·Two(SB), 4, $0-8
	MOVD $2, R0
	MOVD R0, ret+0(FP)
	RET
-- price/_draft.go --
draft
-- price/.hidden.go --
draft
-- helper/helper.go --
package helper

import "testing"

// Equal compares.
func Equal(t *testing.T, a, b int) {
	if a != b {
		t.Fatal(a, b)
	}
}
`

// app is a source and the go command's way with it.
type app struct {
	t        *testing.T
	query    direct.Query
	program  string // the go command's
	settings string // the file of its settings
}

func newApp(t *testing.T, archive, main string) *app {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(t.TempDir(), "env")
	a := &app{t: t, program: filepath.Join(t.TempDir(), "program"), settings: settings, query: direct.Query{
		Go: "go", Dir: dir, Main: main, Flags: []string{"-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid="},
		LDFlags: []string{"-s", "-w", "-buildid="}, Scratch: filepath.Join(t.TempDir(), "plan"),
		Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=", "GOWORK=off", "PWD="+dir, "GOENV="+settings),
	}}
	for _, file := range txtar.Parse([]byte(archive)).Files {
		a.save(file.Name, string(file.Data))
	}
	return a
}

func (a *app) save(name, content string) {
	a.t.Helper()
	a.write(filepath.Join(a.query.Dir, name), content)
}

func (a *app) write(file, content string) {
	a.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		a.t.Fatal(err)
	}
}

// replace edits a file.
func (a *app) replace(name, before, after string) {
	a.t.Helper()
	content, err := os.ReadFile(filepath.Join(a.query.Dir, name))
	if err != nil || !bytes.Contains(content, []byte(before)) {
		a.t.Fatalf("%s has no %q (%v)", name, before, err)
	}
	a.save(name, strings.Replace(string(content), before, after, 1))
}

func (a *app) remove(name string) {
	a.t.Helper()
	if err := os.Remove(filepath.Join(a.query.Dir, name)); err != nil {
		a.t.Fatal(err)
	}
}

// names are those of the source.
func (a *app) names() []string {
	a.t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(a.query.Dir), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return slices.Sorted(slices.Values(names))
}

// build is what the go command makes.
func (a *app) build() []byte {
	a.t.Helper()
	cmd := exec.Command("go", slices.Concat([]string{"build"}, a.query.Flags, []string{"-o", a.program, a.query.Main})...)
	cmd.Dir, cmd.Env = a.query.Dir, a.query.Env
	if output, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("go build: %v\n%s", err, output)
	}
	return a.read(a.program)
}

func (a *app) read(file string) []byte {
	a.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatal(err)
	}
	return content
}

func (a *app) learn() *direct.Plan {
	a.t.Helper()
	a.build()
	plan, err := direct.Learn(a.t.Context(), a.query, a.names(), a.program)
	if err != nil {
		a.t.Fatal(err)
	}
	return plan
}

// check makes the program with the plan, and compares it with the go command's.
func (a *app) check(plan *direct.Plan) {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "made")
	if _, err := plan.Make(a.t.Context(), a.names(), file, ""); err != nil {
		a.t.Fatal(err)
	}
	if !bytes.Equal(a.read(file), a.build()) {
		a.t.Error("the program is not the go command's")
	}
}

const mainOfShop = "./cmd/shop"

// TestChanges changes the source in one way each. What is made is what the go command makes, or nothing.
func TestChanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*app)
		want   error // nil for the go command's program
	}{
		{"nothing", func(*app) {}, nil},
		{"the main package", func(a *app) { a.replace("cmd/shop/main.go", `"tea"`, `"coffee"`) }, nil},
		{"a package that it imports", func(a *app) { a.replace("price/discount.go", "return 1", "return 2") }, nil},
		{"what is exported at the end of a row", func(a *app) {
			a.replace("price/tax/tax.go", "func Add(price int) int { return price + rate }", "func Add[T ~int](price T) T { return price * rate }")
		}, nil},
		{"what a function in the middle does", func(a *app) { a.replace("price/discount.go", "return 1", "println(1); return 2") }, nil},
		{"several at once", func(a *app) {
			a.replace("price/tax/tax.go", "rate = 2", "rate = 3")
			a.replace("cmd/shop/main.go", `"tea"`, `"a long drink"`)
		}, nil},
		{"lines", func(a *app) { a.replace("price/price.go", "// Of is", "\n\n\nfunc init() { panic(1) }\n\n// Of is") }, nil},
		{"the name of another source", func(a *app) {
			a.replace("price/discount.go", "func discount", "//line "+a.query.Dir+"/price/rules.y:7\nfunc init() { panic(1) }\n\n//line ../texts/more.y:3\nfunc discount")
		}, nil},
		{"a test", func(a *app) { a.replace("price/price_test.go", "5", "6") }, nil},
		{"a package that only a test imports", func(a *app) { a.replace("helper/helper.go", "a != b", "b != a") }, nil},
		{"a file of another system", func(a *app) { a.replace("price/tax/tax_windows.go", "true", "false") }, nil},
		{"a file that is left out", func(a *app) { a.replace("price/off.go", "1", "2") }, nil},
		{"what is embedded", func(a *app) { a.save("texts/greeting.txt", "ahoy\n") }, nil},
		{"what is embedded in a folder", func(a *app) { a.save("texts/pages/_hidden/b.html", "<b>") }, nil},
		{"a package that embeds", func(a *app) { a.replace("texts/texts.go", "return greeting", "return greeting + greeting") }, nil},
		{"a file that the go command passes over", func(a *app) { a.save("price/_draft.go", "other") }, nil},
		{"a package that imports one with an assembler file", func(a *app) { a.replace("price/price.go", "fast.Two()", "fast.Two() + fast.One") }, nil},
		{"a text beside it", func(a *app) { a.save("README.md", "other") }, nil},

		{"what else is embedded", func(a *app) { a.replace("texts/texts.go", "greeting.txt", "*.txt") }, direct.ErrUnfit},
		{"another file to embed", func(a *app) { a.save("texts/pages/more.html", "more") }, direct.ErrUnfit},
		{"an assembler file", func(a *app) { a.replace("fast/fast_amd64.s", "$2", "$3") }, direct.ErrUnfit},
		{"an assembler file for another processor", func(a *app) { a.replace("fast/fast_arm64.s", "$2", "$3") }, direct.ErrUnfit},
		{"a package with an assembler file", func(a *app) { a.replace("fast/one.go", "= 1", "= 2") }, direct.ErrUnfit},
		{"go.sum", func(a *app) { a.save("go.sum", "\n") }, direct.ErrUnfit},
		{"a file that is left out and does not parse", func(a *app) { a.save("price/off.go", "{{}}\n") }, direct.ErrUnfit},
		{"what says which Go is used", func(a *app) { a.save(".go-version", "1.0\n") }, direct.ErrUnfit},
		{"another go command", func(a *app) {
			if err := errors.Join(os.Remove(a.query.Go), os.Symlink(filepath.Join(a.t.TempDir(), "none"), a.query.Go)); err != nil {
				a.t.Fatal(err)
			}
		}, direct.ErrUnfit},
		{"the go command's settings", func(a *app) { a.write(a.settings, "GOAMD64=v3\n") }, direct.ErrUnfit},
		{"an import of what is embedded, too", func(a *app) { a.replace("price/tax/tax.go", "package tax", "package tax\n\nimport _ \"os\"") }, direct.ErrUnfit},
		{"an import", func(a *app) { a.replace("cmd/shop/main.go", `"os"`, "\"os\"\n\t_ \"strings\"") }, direct.ErrUnfit},
		{"a build constraint", func(a *app) { a.replace("price/discount.go", "package", "//go:build linux\n\npackage") }, direct.ErrUnfit},
		{"a directive", func(a *app) { a.replace("cmd/shop/main.go", "package", "//go:debug panicnil=1\npackage") }, direct.ErrUnfit},
		{"a file that is embedded now", func(a *app) {
			a.replace("price/discount.go", "func discount", "//go:embed x\nvar _ string\n\nfunc discount")
		}, direct.ErrUnfit},
		{"a file that is left out no more", func(a *app) { a.replace("price/off.go", "ignore", "linux") }, direct.ErrUnfit},
		{"a test that is of no package", func(a *app) { a.replace("price/price_test.go", "package price", "package cost") }, direct.ErrUnfit},
		{"a constraint that a file of another system has no more", func(a *app) {
			a.remove("price/tax/tax_windows.go")
			a.save("price/tax/tax_linux.go", "package tax\n\nfunc init() { panic(2) }\n")
		}, direct.ErrUnfit},
		{"another file", func(a *app) { a.save("price/more.go", "package price\n\nfunc init() { panic(3) }\n") }, direct.ErrUnfit},
		{"a file less", func(a *app) { a.remove("price/discount.go") }, direct.ErrUnfit},
		{"go.mod", func(a *app) { a.replace("go.mod", "go 1.24", "go 1.23") }, direct.ErrUnfit},
		{"what is no Go", func(a *app) { a.save("price/discount.go", "pack") }, direct.ErrUnfit},
		{"a link in the place of a file", func(a *app) {
			a.remove("price/discount.go")
			if err := os.Symlink("price.go", filepath.Join(a.query.Dir, "price/discount.go")); err != nil {
				a.t.Fatal(err)
			}
		}, direct.ErrUnfit},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newApp(t, shop, mainOfShop)
			program, err := exec.LookPath("go")
			if err != nil {
				t.Fatal(err)
			}
			a.query.Go = filepath.Join(t.TempDir(), "go")
			if err := os.Symlink(program, a.query.Go); err != nil {
				t.Fatal(err)
			}
			plan := a.learn()
			test.change(a)
			if test.want == nil {
				a.check(plan)
				return
			}
			file := filepath.Join(t.TempDir(), "made")
			if _, err := plan.Make(t.Context(), a.names(), file, ""); !errors.Is(err, test.want) {
				t.Errorf("it says %v, want %v", err, test.want)
			}
			if _, err := os.Lstat(file); err == nil {
				t.Error("it makes a program")
			}
		})
	}
}

// TestMistake has the compiler complain, and then not any more.
func TestMistake(t *testing.T) {
	a := newApp(t, shop, mainOfShop)
	plan := a.learn()
	a.replace("price/tax/tax.go", "price + rate", "prize + rate")
	_, err := plan.Make(t.Context(), a.names(), a.program, "")
	if err == nil || errors.Is(err, direct.ErrUnfit) || errors.Is(err, direct.ErrUnproven) || !strings.Contains(err.Error(), "undefined: prize") {
		t.Errorf("it says %v", err)
	}
	a.replace("cmd/shop/main.go", `"tea"`, `"coffee"`)
	a.replace("price/tax/tax.go", "prize + rate", "rate + price")
	a.check(plan)
}

// TestKept makes the same again: the file stays, unless it is of something else.
func TestKept(t *testing.T) {
	a := newApp(t, shop, mainOfShop)
	plan := a.learn()
	file := filepath.Join(t.TempDir(), "made")
	makeIt := func(have direct.State) (direct.State, os.FileInfo) {
		t.Helper()
		state, err := plan.Make(t.Context(), a.names(), file, have)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return state, info
	}
	first, before := makeIt("")
	a.save("README.md", "other")
	if state, after := makeIt(first); state != first || !os.SameFile(before, after) {
		t.Error("it was linked again though nothing of it has changed")
	}
	a.replace("price/discount.go", "return 1", "return 2")
	second, after := makeIt(first)
	if second == first || os.SameFile(before, after) {
		t.Error("it was not linked again")
	}
	a.replace("price/discount.go", "return 2", "return 1")
	if third, again := makeIt(second); third != first || os.SameFile(after, again) {
		t.Error("what is as it was at first is not linked again")
	}
	if !bytes.Equal(a.read(file), a.build()) {
		t.Error("the program is not the go command's")
	}
}

// TestEnded ends the making again and again, in the middle of it.
func TestEnded(t *testing.T) {
	a := newApp(t, shop, mainOfShop)
	plan := a.learn()
	places := [][2]string{{"price/discount.go", "return "}, {"price/tax/tax.go", "rate = "}, {"cmd/shop/main.go", "price.Of(\"tea\")+"}}
	a.replace(places[2][0], `price.Of("tea")`, `price.Of("tea")+1`)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		place := places[random.IntN(len(places))]
		content := string(a.read(filepath.Join(a.query.Dir, place[0])))
		at := strings.Index(content, place[1]) + len(place[1])
		a.save(place[0], content[:at]+fmt.Sprint(i%10)+content[at+1:])
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(60))*time.Millisecond)
		_, err := plan.Make(ctx, a.names(), filepath.Join(t.TempDir(), "made"), "")
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if i%5 == 4 {
			a.check(plan)
		}
	}
}

// many has more packages than are compiled to learn, and one that all of them import.
func many() string {
	var source strings.Builder
	source.WriteString("-- go.mod --\nmodule example.com/many\n\ngo 1.24\n-- main.go --\npackage main\n\nimport (\n")
	for i := range 20 {
		fmt.Fprintf(&source, "\t\"example.com/many/p%d\"\n", i)
	}
	source.WriteString(")\n\nfunc main() {\n")
	for i := range 20 {
		fmt.Fprintf(&source, "\tp%d.Do()\n", i)
	}
	source.WriteString("}\n")
	for i := range 20 {
		fmt.Fprintf(&source, "-- p%d/p.go --\npackage p%[1]d\n\nimport \"example.com/many/base\"\n\n// Do does.\nfunc Do() { println(%[1]d, base.X) }\n", i)
	}
	source.WriteString("-- base/base.go --\npackage base\n\n// X is.\nconst X = 1\n")
	return source.String()
}

// TestManyPackages proves one package after the other, when it changes.
func TestManyPackages(t *testing.T) {
	a := newApp(t, many(), ".")
	plan := a.learn()
	a.replace("main.go", "p3.Do()", "p3.Do(); p3.Do()")
	a.check(plan)

	a.replace("p7/p.go", "println(7,", "println(77,")
	if _, err := plan.Make(t.Context(), a.names(), filepath.Join(t.TempDir(), "made"), ""); !errors.Is(err, direct.ErrUnproven) {
		t.Errorf("it says %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	a.build()
	if err := plan.Prove(ended, a.names(), a.program); err == nil {
		t.Error("it proves without time")
	}
	if _, err := plan.Make(t.Context(), a.names(), filepath.Join(t.TempDir(), "made"), ""); !errors.Is(err, direct.ErrUnproven) {
		t.Errorf("when the proof was ended it says %v", err)
	}
	if err := plan.Prove(t.Context(), a.names(), a.program); err != nil {
		t.Fatal(err)
	}
	a.replace("p7/p.go", "println(77,", "println(777,")
	a.check(plan)

	a.replace("base/base.go", "X = 1", "X = 2")
	if _, err := plan.Make(t.Context(), a.names(), filepath.Join(t.TempDir(), "made"), ""); !errors.Is(err, direct.ErrUnproven) {
		t.Errorf("when too many packages have changed it says %v", err)
	}
}

// TestChangesWhileLearning changes the source when the go command has looked at it.
func TestChangesWhileLearning(t *testing.T) {
	for name, edit := range map[string]string{
		"a package that is not proven":      "'s/println(7,/println(77,/' p7/p.go",
		"the constraint of a file":          "s/windows/linux/ p7/off.go",
		"go.mod":                            "s/1.24/1.23/ go.mod",
		"a file that is only there to read": "s/text/other/ README.md",
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, many()+"-- README.md --\ntext\n-- p7/off.go --\n//go:build windows\n\npackage p7\n\nfunc init() { panic(1) }\n", ".")
			a.build()
			tool := filepath.Join(t.TempDir(), "go")
			a.write(tool, "#!/bin/sh\ngo \"$@\" || exit\n[ \"$1\" != list ] || sed -i "+edit+"\n")
			if err := os.Chmod(tool, 0o755); err != nil {
				t.Fatal(err)
			}
			a.query.Go = tool
			_, err := direct.Learn(t.Context(), a.query, a.names(), a.program)
			if want := !strings.Contains(edit, "README"); errors.Is(err, direct.ErrMoved) != want {
				t.Errorf("it says %v", err)
			}
		})
	}
}

// TestOther learns from a program that is not of the source, or cannot be learnt.
func TestOther(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*app)
		want   error
	}{
		{"a source that has changed since", func(a *app) { a.replace("cmd/shop/main.go", `"tea"`, `"coffee"`) }, direct.ErrDiffers},
		{"other flags", func(a *app) { a.query.LDFlags = []string{"-s", "-w", "-buildid=", "-X=main.x=y", "-B=0x12"} }, direct.ErrDiffers},
		{"a main package with other files", func(a *app) { a.save("cmd/shop/more_amd64.s", "") }, direct.ErrUnfit},
		{"a profile", func(a *app) {
			a.save("cmd/shop/default.pgo", "")
		}, direct.ErrUnfit},
		{"a program by a profile that is gone", func(a *app) {
			a.save("cmd/shop/default.pgo", "")
			a.build()
			a.remove("cmd/shop/default.pgo")
		}, direct.ErrUnfit},
		{"a large file that is embedded", func(a *app) {
			a.save("texts/greeting.txt", strings.Repeat("hello", 1<<20))
			a.build()
		}, direct.ErrUnfit},
		{"a file that is left out and does not parse", func(a *app) { a.save("price/template.go", "//go:build ignore\n\n{{.}}\n") }, nil},
		{"another setting", func(a *app) { a.query.Settings = map[string]string{"GOAMD64": "v3"} }, direct.ErrUnfit},
		{"a large file", func(a *app) { a.save("README.md", strings.Repeat("hello", 1<<20)) }, nil},
		{"a large source", func(a *app) {
			for i := range 11 {
				a.save(fmt.Sprintf("%d.txt", i), strings.Repeat("hey", 1<<20))
			}
		}, nil},
		{"a large source that is embedded", func(a *app) {
			for i := range 11 {
				a.save(fmt.Sprintf("texts/pages/sub/%d.txt", i), strings.Repeat("hey", 1<<20))
			}
			a.build()
		}, direct.ErrUnfit},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newApp(t, shop, mainOfShop)
			a.build()
			test.change(a)
			if _, err := direct.Learn(t.Context(), a.query, a.names(), a.program); !errors.Is(err, test.want) {
				t.Errorf("it says %v, want %v", err, test.want)
			}
		})
	}
}

// TestDebugSettings has go.mod and the main package say how the runtime behaves.
func TestDebugSettings(t *testing.T) {
	a := newApp(t, shop, mainOfShop)
	a.replace("cmd/shop/main.go", "package main", "//go:debug panicnil=1\npackage main")
	a.save("go.mod", "module example.com/shop\n\ngo 1.21\n")
	plan := a.learn()
	a.replace("cmd/shop/main.go", `"tea"`, `"coffee"`)
	a.check(plan)
}
