package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFastLane follows saves that go straight into the pod: the same pod answers with the new code, then the chain
// arrives at the same content in another pod; and what cannot go that way goes the whole way.
func TestFastLane(t *testing.T) {
	e := newEnv(t, "e2e-sync")
	e.run("up", "--name", e.name)
	dir, url := hello(e)
	main := filepath.Join(dir, "main.go")
	dev := e.start("dev", dir, "--name", e.name, "--sync", "--progress", "plain")
	dev.says("Watching")
	e.answers(url, "hello 1.0.0")

	first := e.helloPods()
	replace(t, main, "1.0.0", "2.0.0")
	e.answers(url, "hello 2.0.0")
	if now := e.helloPods(); now != first && !strings.Contains(dev.text(), "the chain follows") {
		t.Errorf("pods = %s, want the same as before the save: %s", now, first)
	}
	dev.says("the program (")
	dev.says("the chain follows")
	e.eventually("another pod has taken over", func() (bool, string) {
		now := e.helloPods()
		return now != first && len(strings.Fields(now)) == 1, now
	})
	e.answers(url, "hello 2.0.0")
	dev.saysTimes("Watching", 2)
	if strings.Contains(dev.text(), "NOT THE SAME") {
		t.Errorf("the same content is told of as another:\n%s", dev.text())
	}

	fastLaneFallsBack(e, dev, dir, url)
	fastLaneMismatch(e, dev, dir)
	fastLaneCrash(e, dev, dir, url)

	dev.signal(syscall.SIGINT, false)
	dev.wait()
	if err := os.Remove(filepath.Join(dir, "slipway.yaml")); err != nil {
		t.Fatal(err)
	}
	e.run("dev", "--once", dir, "--name", e.name)
	if out := e.kubectl("get", "deployment", "hello", "-o", "yaml"); strings.Contains(out, "slipway-init") || strings.Contains(out, "SLIPWAY_SYNC") {
		t.Errorf("without --sync the supervisor is still there:\n%s", out)
	}
	e.answers(url, "hello 5.0.0")
}

// fastLaneFallsBack changes what the fast lane cannot serve.
func fastLaneFallsBack(e *env, dev *background, dir, url string) {
	e.t.Helper()
	replace(e.t, filepath.Join(dir, "workload.yaml"), "env:", "env:\n    - name: MORE\n      value: \"1\"")
	dev.says("not this time: workload.yaml changed")
	dev.saysTimes("Watching", 3)
	e.answers(url, "hello 2.0.0")
	text := "apiVersion: slipway.dev/v1alpha1\nkind: App\nsync:\n  - binary: true\n  - from: data/*\n    to: /app/data\n"
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
	dev.says("not this time: slipway.yaml changed")
	dev.saysTimes("Watching", 4)
}

// fastLaneMismatch syncs a file that the image does not hold.
func fastLaneMismatch(e *env, dev *background, dir string) {
	e.t.Helper()
	if err := os.Mkdir(filepath.Join(dir, "data"), 0o755); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "text"), []byte("hello"), 0o644); err != nil {
		e.t.Fatal(err)
	}
	dev.says("  1 file in pod hello-")
	dev.says("NOT THE SAME")
	dev.says("/app/data/text was synced, and the chain's image does not have it")
	dev.saysTimes("Watching", 5)
}

// fastLaneCrash syncs a program that ends at once, and then one that does not.
func fastLaneCrash(e *env, dev *background, dir, url string) {
	e.t.Helper()
	main := filepath.Join(dir, "main.go")
	replace(e.t, main, "func port() string {", "func init() { panic(\"made to fail\") }\n\nfunc port() string {")
	dev.says("the synced program ended with exit code 2; its last lines:")
	dev.saysTimes("Watching", 6)
	replace(e.t, main, "func init() { panic(\"made to fail\") }\n", "")
	replace(e.t, main, "2.0.0", "5.0.0")
	e.answers(url, "hello 5.0.0")
	dev.saysTimes("Watching", 7)
	e.answers(url, "hello 5.0.0")
}

// helloPods are the UIDs of the example's pods that are to stay.
func (e *env) helloPods() string {
	e.t.Helper()
	out := e.kubectl("get", "pods", "-l", "carto.run/workload-name=hello", "-o", `go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.uid}} {{end}}{{end}}`)
	return strings.TrimSpace(out)
}

// saysTimes waits until the output has the words so many times.
func (b *background) saysTimes(words string, times int) {
	b.e.t.Helper()
	b.e.eventually("it says "+words+" again", func() (bool, string) {
		return strings.Count(b.text(), words) >= times, b.text()
	})
}
