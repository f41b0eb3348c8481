package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// examplesRun builds and runs each example once, as its README says, and asks the apps for what they have to say.
func examplesRun(e *env) {
	for _, example := range []struct {
		folders  []string // below examples
		workload string   // that is asked
		path     string
		wants    string
	}{
		{[]string{"dockerfile"}, "pages", "/", "Ahoy from a Dockerfile"},
		{[]string{"site"}, "site", "/orders/7", "Hello from a folder"},
		{[]string{"command"}, "notes", "/", "two.txt: Mind the tide."},
		{[]string{"shop/front", "shop/back"}, "front", "/", "anchor: 80"},
	} {
		arguments := []string{"dev", "--once", "--name", e.name}
		for _, folder := range example.folders {
			arguments = append(arguments, filepath.Join(examples(e.t), filepath.FromSlash(folder)))
		}
		r := e.run(arguments...)
		e.t.Logf("%s took %v", strings.Join(example.folders, " and "), r.took)
		e.answers(e.appURL(example.workload)+example.path, example.wants)
	}
}

func examples(t *testing.T) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
