package template

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/api/carto/v1alpha1"
)

// TestYttErrorToTheByte: tools look for this text.
func TestYttErrorToTheByte(t *testing.T) {
	spec := &v1alpha1.TemplateSpec{Ytt: `#@ load("@ytt:data", "data")

apiVersion: test.run/v1alpha1
kind: TestObj
metadata:
  name: my-params
spec:
  best_name: #@ data.values.params["waciuma-com/quality"]
`}
	want := "unable to apply ytt template: ytt: Error: \n- key \"waciuma-com/quality\" not in struct\n    in <toplevel>\n" +
		"      stdin.yml:8 |   best_name: #@ data.values.params[\"waciuma-com/quality\"]\n"
	renderer := NewRenderer()
	for range 2 { // compiled, and from the cache
		_, err := renderer.Render(t.Context(), spec, map[string]any{"params": map[string]any{"a": 1}})
		if err == nil || err.Error() != want {
			t.Fatalf("got %q, want %q", err, want)
		}
	}
}

// TestYttCompiledOnce renders one template with many values, by turns and at once.
func TestYttCompiledOnce(t *testing.T) {
	spec := &v1alpha1.TemplateSpec{Ytt: `#@ load("@ytt:data", "data")
kind: Thing
#@ if/end hasattr(data.values.params, "extra"):
extra: #@ data.values.params.extra
list:
#@ for i in range(data.values.params.n):
- at: #@ i
#@ end
`}
	renderer := NewRenderer()
	var group sync.WaitGroup
	for n := range 20 {
		group.Go(func() {
			params := map[string]any{"n": n}
			want := map[string]any{"kind": "Thing", "list": []any{}}
			if n%2 == 0 {
				params["extra"], want["extra"] = n, int64(n)
			}
			for i := range n {
				want["list"] = append(want["list"].([]any), map[string]any{"at": int64(i)})
			}
			got, err := renderer.Render(t.Context(), spec, map[string]any{"params": params})
			if err != nil {
				t.Error(err)
			} else if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d (-want +got):\n%s", n, diff)
			}
		})
	}
	group.Wait()
	if len(renderer.ytt.compiled) != 1 {
		t.Errorf("%d compiled templates, want 1", len(renderer.ytt.compiled))
	}
}

// TestYttCompiledIsTheCommand: what is rendered from the cache is what ytt's command renders, errors too.
func TestYttCompiledIsTheCommand(t *testing.T) {
	data := map[string]any{
		"workload": parse(t, lookupWorkload), "params": map[string]any{"a/b": "x", "n": 3, "f": 1.5, "big": int64(9007199254740993), "o": map[string]any{"z": 1, "a": []any{nil}}},
		"deployment": nil, "labels": map[string]string{"carto.run/workload-name": "web"},
	}
	const load = "#@ load(\"@ytt:data\", \"data\")\n#@ load(\"@ytt:json\", \"json\")\n#@ load(\"@ytt:yaml\", \"yaml\")\n"
	for _, text := range []string{
		"a: #@ data.values.params[\"a/b\"]", "a: #@ data.values.params", "a: #@ data.values.workload", "a: #@ json.encode(data.values.params.o)",
		"a: #@ yaml.encode(data.values.workload.spec)", "a: #@ data.values.params.big + 1", "a: #@ data.values.params.f", "a: #@ data.values.nothing",
		"a: #@ data.values.deployment", "#@ for k in dir(data.values.params):\n#@yaml/text-templated-strings\nx-(@= k @): #@ k\n#@ end", "a: #@ str(data.values.labels)",
		"a: #@ 1 / 0", "a: #@ fail(\"no\")", "#! note\na: 1 #! more\nb: #@ None", "a: #@ \"x\" + 1", "# bad comment\na: #@ 1", "a: #@ undefined", "- #@ 1\n- 2",
		"#@ def f():\na: 1\n#@ end\n---\nb: #@ f()\n---\nc: #@ type(data.values.params.n)", "a: 1\na: #@ 2",
	} {
		values, err := yttValues(data)
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := (&yttTemplate{text: load + text}).renderWhole(values)
		compiled, err := compileYtt(load + text)
		if err != nil {
			if wantErr == nil || yttError(err).Error() != yttError(wantErr).Error() {
				t.Errorf("%s: error %v, the command's %v", text, err, wantErr)
			}
			continue
		}
		if compiled.compiled == nil {
			t.Errorf("%s: is not compiled", text)
			continue
		}
		got, gotErr := compiled.render(values, func() {})
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-command +compiled):\n%s", text, diff)
		}
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && yttError(gotErr).Error() != yttError(wantErr).Error() {
			t.Errorf("%s: error %v, the command's %v", text, gotErr, wantErr)
		}
	}
}

func BenchmarkYtt(b *testing.B) {
	renderer := NewRenderer()
	spec := &v1alpha1.TemplateSpec{Ytt: "#@ load(\"@ytt:data\", \"data\")\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: #@ data.values.workload.metadata.name\n"}
	data := map[string]any{"workload": parse(b, lookupWorkload), "params": map[string]any{"a": 1}}
	for b.Loop() {
		if _, err := renderer.Render(b.Context(), spec, data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestYttCacheIsBounded(t *testing.T) {
	engine := newYttEngine(time.Minute)
	for i := range mostCompiled + 10 {
		if _, err := engine.render(t.Context(), fmt.Sprintf("a: #@ %d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(engine.compiled) != mostCompiled {
		t.Errorf("%d compiled templates, want %d", len(engine.compiled), mostCompiled)
	}
}

// TestYttTimeLimit: a template that takes too long fails, and is not tried again while it goes on; others are fine.
func TestYttTimeLimit(t *testing.T) {
	engine := newYttEngine(time.Second / 2)
	const endless = `#@ load("@ytt:data", "data")
#@ def spin():
#@   n = 0
#@   for i in range(data.values.n):
#@     n = n + i
#@   end
#@   return n
#@ end
a: #@ spin()
`
	_, err := engine.render(t.Context(), endless, map[string]any{"n": 1_000_000_000})
	if err == nil || err.Error() != "it takes longer than 500ms" {
		t.Fatalf("error %v, want that it takes too long", err)
	}
	engine.limit = time.Minute
	_, err = engine.render(t.Context(), endless, map[string]any{"n": 1})
	if err == nil || !strings.Contains(err.Error(), "still goes on") {
		t.Errorf("error %v, want that the first still goes on", err)
	}
	if _, err := engine.render(t.Context(), "a: #@ 1", nil); err != nil {
		t.Errorf("another template: %v", err)
	}
}

func FuzzYtt(f *testing.F) {
	for _, seed := range []string{"a: 1", "a: #@ 1", "#@ load('@ytt:data','data')\n---\na: #@ data.values", "#@overlay/match by=1\n---\n", "a: #@ 1/0", "#@ for x in [1]:\n- #@ x\n#@ end",
		"#@data/values\n---\na: 1", "#! x", "(@ 1 @)", "#@yaml/text-templated-strings\na: x(@= 'y' @)", "- ", "a: &x {b: *x}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "range") || strings.Contains(text, "*") || strings.Contains(text, "def") {
			t.Skip() // whose time and memory are bounded by the limit alone
		}
		_, _ = newYttEngine(time.Minute).render(t.Context(), text, map[string]any{"params": map[string]any{"a": "b"}})
	})
}
