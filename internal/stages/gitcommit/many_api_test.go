package gitcommit_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"slipway.dev/slipway/api/slipway/v1alpha1"
)

// testMany: twenty GitCommits and ten people with git write to one branch at once, and no commit is lost.
func testMany(c *cluster) {
	const workloads, people = 20, 10
	c.manage()
	c.apply("seed", fmt.Sprintf("{files: {delivery.yml: 'n: 1'}, git: {%s}}", c.target("team/many")))
	c.eventually("seed", v1alpha1.ReasonCommitted, "")
	folders := make([]string, people)
	for i := range folders {
		folders[i] = filepath.Join(c.TempDir(), fmt.Sprint(i))
		if out, err := c.runGit("", "clone", "--quiet", "http://"+c.git+"/team/many.git", folders[i]); err != nil {
			c.Fatal(out)
		}
	}
	var wg sync.WaitGroup
	for i, folder := range folders {
		wg.Go(func() { c.person(folder, fmt.Sprintf("people/%d", i)) })
	}
	for i := range workloads {
		c.apply(fmt.Sprintf("app%d", i), fmt.Sprintf("{files: {delivery.yml: 'n: %d'}, git: {%s}}", i, c.target("team/many")))
	}
	wg.Wait()
	for i := range workloads {
		c.eventually(fmt.Sprintf("app%d", i), v1alpha1.ReasonCommitted, "")
	}
	for i := range workloads {
		if got := c.inGit("team/many", "show", fmt.Sprintf("main:config/%s/app%d/delivery.yml", c.namespace(), i)); got != fmt.Sprintf("n: %d", i) {
			c.Errorf("app%d = %q", i, got)
		}
	}
	for i := range people {
		if got := c.inGit("team/many", "show", fmt.Sprintf("main:people/%d", i)); got != "here" {
			c.Errorf("person %d = %q", i, got)
		}
	}
	if got := c.inGit("team/many", "rev-list", "--count", "main"); got != fmt.Sprint(1+workloads+people) {
		c.Errorf("%s commits, want %d", got, 1+workloads+people)
	}
	c.inGit("team/many", "fsck", "--full", "--strict")
}

// person commits a file in a clone and pushes it, as often as others are first.
func (c *cluster) person(folder, file string) {
	path := filepath.Join(folder, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.Error(err)
		return
	}
	if err := os.WriteFile(path, []byte("here"), 0o644); err != nil {
		c.Error(err)
		return
	}
	for _, arguments := range [][]string{{"add", "--", file}, {"commit", "--quiet", "--message", file}} {
		if out, err := c.runGit(folder, arguments...); err != nil {
			c.Error(out)
			return
		}
	}
	for range 500 {
		out, err := c.runGit(folder, "push", "--quiet", "origin", "HEAD:main")
		if err == nil {
			return
		}
		if !strings.Contains(out, "rejected]") {
			c.Errorf("a push failed for another reason than another writer: %s", out)
			return
		}
		if out, err := c.runGit(folder, "pull", "--quiet", "--rebase", "origin", "main"); err != nil {
			c.Error(out)
			return
		}
	}
	c.Errorf("500 pushes of %s were all rejected", file)
}

// runGit runs the real git in a folder.
func (c *cluster) runGit(folder string, arguments ...string) (string, error) {
	command := exec.CommandContext(c.Context(), "git", append([]string{"-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "gc.auto=0"}, arguments...)...)
	command.Dir = folder
	out, err := command.CombinedOutput()
	return string(out), err
}
