package gobinary_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const several = `
-- go.mod --
module example.com/several

go 1.24
-- deep/deep.go --
package deep

// X is 0.
func X() int { return 0 }
-- page/page.go --
package page

import _ "embed"

//go:embed page.txt
var text string

// Text is 0.
func Text() string { return text + "0" }
-- page/page.txt --
0
-- mid/mid.go --
package mid

import "example.com/several/deep"

// Y is 0.
func Y() int { return deep.X() + 0 }
-- main.go --
package main

import (
	"example.com/several/mid"
	"example.com/several/page"
)

func main() { println(mid.Y(), page.Text(), "0") }
`

// TestRandomSaves does anything in any order, ends much of it early, and compares what is built with what a builder makes that
// has learnt nothing.
func TestRandomSaves(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("the seed is %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := unpack(t, several)
	write := func(name, content string) { save(t, dir, name, content) }
	saves := []func(n int){
		func(n int) {
			write("deep/deep.go", fmt.Sprintf("package deep\n\n// X is %d.\nfunc X() int { return %[1]d }\n", n))
		},
		func(n int) {
			write("deep/deep.go", fmt.Sprintf("package deep\n\n// X is any.\nfunc X() int { println(%d); for i := range 9 { println(i) }; return 1 }\n", n))
		},
		func(n int) { write("page/page.txt", fmt.Sprint(n)) },
		func(n int) {
			write("mid/mid.go", fmt.Sprintf("package mid\n\nimport \"example.com/several/deep\"\n\n// Y is %d.\nfunc Y() int { return deep.X() + %[1]d }\n", n))
		},
		func(n int) {
			write("mid/mid.go", fmt.Sprintf("package mid\n\nimport (\n\t\"os\"\n\n\t\"example.com/several/deep\"\n)\n\n// Y is %d.\nfunc Y() int { return deep.X() + len(os.Args) + %[1]d }\n", n))
		},
		func(n int) { write("mid/more.go", fmt.Sprintf("package mid\n\nfunc init() { println(%d) }\n", n)) },
		func(int) { _ = os.Remove(filepath.Join(dir, "mid", "more.go")) },
		func(int) { write("mid/more.go", "package mid\n\nfunc init() { mistake }\n") },
		func(n int) { write("README.md", fmt.Sprint(n)) },
	}
	b := newBuilder(t)
	digestOf(t, b, request(dir))
	for i, compared := 0, 0; compared < 20; i++ {
		if random.IntN(2) == 0 {
			if ended := b.Learn(t.Context()); ended != nil && random.IntN(3) > 0 {
				<-ended
			} else if ended != nil {
				time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
			}
		}
		saves[random.IntN(len(saves))](random.IntN(5))
		r := request(dir)
		if random.IntN(2) == 0 {
			r = marked(r, uint64(i+1))
			b.Begin(t.Context(), r)
			if random.IntN(2) == 0 {
				time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
				saves[random.IntN(len(saves))](random.IntN(5))
				r.Mark = 0 // as the watch tells it
			}
		}
		if random.IntN(3) == 0 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(250))*time.Millisecond)
			_, _ = b.Build(ctx, r)
			cancel()
			continue
		}
		built, err := b.Build(t.Context(), r)
		want, wantErr := newBuilder(t).Build(t.Context(), request(dir))
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("step %d: it says %v, and a builder that has learnt nothing %v", i, err, wantErr)
		}
		if err != nil {
			continue
		}
		got, err := built.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if is, err := want.Image.Digest(); err != nil || is != got {
			t.Fatalf("step %d: the image is %s, and %s of a builder that has learnt nothing (%v)", i, got, is, err)
		}
		compared++
	}
}
