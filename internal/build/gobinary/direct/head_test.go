package direct

import (
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// found is what the go command looks for in a Go file, read from all of it.
type found struct {
	Name        string
	Imports     []string
	Constraints []string
	Embeds      []string
}

func findIn(content []byte) (found, bool) {
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", content, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return found{}, false
	}
	f := found{Name: parsed.Name.Name}
	for _, one := range parsed.Imports {
		f.Imports = append(f.Imports, one.Path.Value)
	}
	each := func(c *ast.Comment) {
		if c.Pos() < parsed.Package && (constraint.IsGoBuild(c.Text) || constraint.IsPlusBuild(c.Text) || strings.HasPrefix(c.Text, "//go:debug")) {
			f.Constraints = append(f.Constraints, c.Text)
		}
		if strings.HasPrefix(c.Text, "//go:embed") {
			f.Embeds = append(f.Embeds, c.Text)
		}
	}
	for _, group := range parsed.Comments {
		for _, comment := range group.List {
			each(comment)
		}
	}
	return f, true
}

// FuzzHead puts something else below the head of a file: if the head stays the same, so does what the go command finds.
func FuzzHead(f *testing.F) {
	f.Add("package a\n", "func main() {}\n")
	f.Add("//go:build linux\n\npackage a\n\nimport (\n\t\"fmt\"\n\t_ \"embed\"\n)\n", "//go:embed x\nvar x string\n")
	f.Add("// Doc\npackage a; import \"b\"; import \"c\"\n", "import \"d\"\n")
	f.Add("package a // import \"b\"\r\nimport \"C\"", "")
	f.Add("package a\n\n//go:embed x y\nvar x string\n", "//go:embed x y\nvar y string\n")
	f.Add("package a\nimport \"b\" /* more\n", "lines */ import \"c\"\n")
	f.Fuzz(func(t *testing.T, text, below string) {
		head, err := headOf([]byte(text))
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, head) {
			t.Fatalf("%q is not the head of %q", head, text)
		}
		other := head + "\n" + below
		stays, err := compiledHeadOf([]byte(text))
		if again, errAgain := compiledHeadOf([]byte(other)); err != nil || errAgain != nil || again != stays {
			return // it does not count as the same
		}
		before, ok := findIn([]byte(text))
		if !ok {
			return
		}
		after, ok := findIn([]byte(other))
		if !ok {
			return // the compiler does not take it either
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("of %q and %q the head is %q, and the go command finds (-before +after):\n%s", text, other, head, diff)
		}
	})
}
