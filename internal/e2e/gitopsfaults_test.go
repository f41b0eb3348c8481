package e2e

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slipway.dev/slipway/internal/environment"
)

// badSources: what is wrong with a deliverable's source stands in its conditions.
func (g *gitops) badSources() {
	server := environment.Name(g.name).GitInCluster()
	registry := g.status().Registry.Address
	traversal(g.t, registry+"/apps/traversal:v1")
	git := func(url, branch string) string { return fmt.Sprintf("git: {url: %q, ref: {branch: %s}}", url, branch) }
	config := "http://" + server + "/slipway/config.git"
	cases := map[string]struct{ source, params, want string }{
		"no-branch":     {git(config, "nope"), "", `has no branch "nope"`},
		"no-folder":     {git(config, "main") + ", subPath: config/gitops/nobody", "", `The source has no folder "config/gitops/nobody"`},
		"no-repository": {git("http://"+server+"/slipway/none.git", "main"), "", "There is no repository"},
		"no-host":       {git("http://git.nowhere.invalid/x.git", "main"), "", "git.nowhere.invalid"},
		"no-secret":     {git(config, "main"), "{name: source_credentials_secret, value: absent}", `secret "absent"`},
		"no-image":      {"image: " + registry + "/apps/none:v1", "", "apps/none"},
		"traversal":     {"image: " + registry + "/apps/traversal:v1", "", "leads out of"},
	}
	var all strings.Builder
	for name, test := range cases {
		fmt.Fprintf(&all, "apiVersion: carto.run/v1alpha1\nkind: Deliverable\nmetadata: {name: %s, namespace: gitops, labels: {app.tanzu.vmware.com/deliverable-type: web}}\n"+
			"spec: {params: [%s], source: {%s}}\n---\n", name, test.params, test.source)
	}
	g.apply(all.String())
	for name, test := range cases {
		g.sees("deliverable "+name+" says "+test.want, func(out string) bool { return strings.Contains(out, test.want) },
			"get", "deliverable", name, "-n", "gitops", "-o", "jsonpath={.status.conditions[*].message}")
	}
	if _, err := g.tryKubectl(all.String(), "delete", "-f", "-"); err != nil {
		g.t.Error(err)
	}
}

// traversal pushes an image whose layer has a file that leads out of it.
func traversal(t *testing.T, image string) {
	t.Helper()
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	if err := archive.WriteHeader(&tar.Header{Name: "../../tmp/out.yml", Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	made, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	push(t, image, made)
}

// serversAway: the git server and the registry go away when the workload changes, and come back.
func (g *gitops) serversAway() {
	before := len(g.commits("shop"))
	name := environment.Name(g.name)
	docker(g.t, "rm", "--force", name.Git())
	g.workload("shop", g.two, "")
	g.sees("the commit says that the git server is away", func(out string) bool { return strings.Contains(out, "Unreachable") },
		"get", "gitcommit", "shop", "-n", "gitops", "-o", "jsonpath={.status.conditions[0].reason}")
	g.run("up", "--name", g.name, "--profile", "testing", "--progress", "plain")
	g.delivered("shop", g.two)

	docker(g.t, "kill", name.Registry())
	g.workload("shop", g.one, "")
	g.sees("the delivery's source says that the registry is away", func(out string) bool { return strings.HasPrefix(out, "False") },
		"get", "source", "shop-delivery", "-n", "gitops", "-o", "jsonpath={.status.conditions[0].status} {.status.conditions[0].message}")
	docker(g.t, "start", name.Registry())
	g.delivered("shop", g.one)
	if now := len(g.commits("shop")); now != before+2 {
		g.t.Errorf("%d commits, want %d", now, before+2)
	}
}

// controllerKilled: at each stage of the way. There is one commit for each change, and the end is the same.
func (g *gitops) controllerKilled() {
	images := []string{g.two, g.one, g.two, g.one}
	for i, stage := range []struct{ name, kind, path string }{
		{"at once", "", ""},
		{"once it is committed", "gitcommit/shop", "{.status.revision}"},
		{"once it is fetched", "source/shop-delivery", "{.status.artifact.revision}"},
		{"while it is released", "release/shop", "{.status.attempted}"},
	} {
		before, was := len(g.commits("shop")), ""
		if stage.kind != "" {
			was = g.kubectl("get", stage.kind, "-n", "gitops", "-o", "jsonpath="+stage.path)
		}
		g.workload("shop", images[i], "")
		if stage.kind != "" {
			g.sees(stage.name, func(out string) bool { return out != was }, "get", stage.kind, "-n", "gitops", "-o", "jsonpath="+stage.path)
		}
		g.kubectl("delete", "pod", "-n", "slipway-system", "-l", "app.kubernetes.io/name=slipway-controller", "--force", "--grace-period=0")
		g.t.Logf("killed %s: delivered after %v", stage.name, g.delivered("shop", images[i]))
		if now := len(g.commits("shop")); now != before+1 {
			g.t.Errorf("killed %s: %d commits, want %d", stage.name, now, before+1)
		}
	}
}

// bundle: without a repository the same goes over the registry.
func (g *gitops) bundle() {
	const none = `, {name: gitops_server_address, value: ""}, {name: gitops_repository_owner, value: ""}, {name: gitops_repository_name, value: ""}]`
	over := func(image string) {
		g.apply(strings.Replace(g.manifest("parcel", image, ""), "}]", "}"+none, 1))
	}
	over(g.one)
	g.t.Logf("over the registry, from a new workload to the delivered pod: %v", g.delivered("parcel", g.one))
	over(g.two)
	g.t.Logf("over the registry, from a changed workload to the delivered pod: %v", g.delivered("parcel", g.two))
	if url := g.kubectl("get", "gitcommit", "parcel", "-n", "gitops", "-o", "jsonpath={.status.url}"); !strings.Contains(url, "/apps/parcel-gitops-bundle@sha256:") {
		g.t.Errorf("it was written to %s", url)
	}
	// Part of a repository is a mistake, and not the registry.
	g.apply(strings.Replace(g.manifest("part", g.one, ""), "}]", `}, {name: gitops_repository_owner, value: ""}]`, 1))
	g.sees("what is missing is named", func(out string) bool {
		return strings.Contains(out, "gitops_server_address and gitops_repository_name is set, but not gitops_repository_owner")
	}, "get", "gitcommit", "part", "-n", "gitops", "-o", "jsonpath={.status.conditions[0].message}")
	g.kubectl("delete", "workload", "part", "parcel", "-n", "gitops")
}

// ten workloads at once, and then all of them changed at once: a commit for each change, all delivered.
func (g *gitops) ten() {
	for round, image := range []string{g.one, g.two} {
		var all strings.Builder
		for i := range 10 {
			all.WriteString(g.manifest(fmt.Sprintf("app%d", i), image, ""))
		}
		start := time.Now()
		g.apply(all.String())
		for i := range 10 {
			g.delivered(fmt.Sprintf("app%d", i), image)
		}
		g.t.Logf("ten workloads at once, round %d: all delivered after %v", round+1, time.Since(start))
		for i := range 10 {
			if now := len(g.commits(fmt.Sprintf("app%d", i))); now != round+1 {
				g.t.Errorf("app%d has %d commits, want %d", i, now, round+1)
			}
		}
	}
}
