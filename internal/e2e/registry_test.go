package e2e

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/random"
)

// registryForgets collects all that may go, and shows that what runs can still be pulled.
func registryForgets(e *env, registry string) {
	var unused []string
	for range 4 {
		image, err := random.Image(100_000, 2)
		if err != nil {
			e.t.Fatal(err)
		}
		pushed := push(e.t, registry+"/apps/unused:latest", image)
		unused = append(unused, pushed[strings.Index(pushed, "@")+1:])
	}
	running := e.kubectl("get", "deployment", "hello", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	listed := e.run("registry", "ls", "--name", e.name, "apps/hello").stdout
	for _, want := range []string{running[strings.Index(running, "@")+1:], "application/vnd.slipway.source.v1+json", "application/spdx+json", "latest"} {
		if !strings.Contains(listed, want) {
			e.t.Errorf("registry ls does not list %s:\n%s", want, listed)
		}
	}
	e.fails(1, []string{"apps/hello:latest is in use", "--force"}, "registry", "rm", "--name", e.name, "apps/hello:latest")

	var report struct {
		Registry struct {
			Removed []struct{ Digest string }
			Freed   int64
		}
	}
	collected := e.run("registry", "gc", "--name", e.name, "--disk-budget", "0", "--older-than", "0s", "-o", "json")
	if err := json.Unmarshal([]byte(collected.stdout), &report); err != nil {
		e.t.Fatalf("%v\n%s", err, collected.all())
	}
	var removed []string
	for _, image := range report.Registry.Removed {
		removed = append(removed, image.Digest)
	}
	for i, digest := range unused {
		if last := i == len(unused)-1; slices.Contains(removed, digest) == last {
			e.t.Errorf("unused image %d of %d was removed: %t", i+1, len(unused), !last)
		}
	}
	if report.Registry.Freed < 3*200_000 {
		e.t.Errorf("it freed %d bytes:\n%s", report.Registry.Freed, collected.stdout)
	}
	e.t.Logf("gc took %v and removed %d images", collected.took, len(removed))

	// A pod on a node that does not have the image gets it from the registry, all of it.
	docker(e.t, "exec", e.name+"-control-plane", "sh", "-c", "ctr -n k8s.io images ls -q | grep -F "+running[:strings.Index(running, "@")]+" | xargs ctr -n k8s.io images rm --sync")
	e.kubectl("delete", "pod", "-l", "app.kubernetes.io/name=hello", "--wait=true")
	e.sees("hello runs again", func(out string) bool { return out == "1" }, "get", "deployment", "hello", "-o", "jsonpath={.status.readyReplicas}")
	e.run("registry", "rm", "--name", e.name, "apps/unused:latest")
	if left := e.run("registry", "ls", "--name", e.name).stdout; strings.Contains(left, "apps/unused") {
		e.t.Errorf("what was removed is still listed:\n%s", left)
	}
}
