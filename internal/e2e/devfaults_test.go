package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDevFaults breaks, one after the other, all that `dev` stands on, and sees that it says so and goes on by itself.
func TestDevFaults(t *testing.T) {
	e := newEnv(t, "e2e-dev")
	e.run("up", "--name", e.name)
	steps := []struct {
		name string
		run  func(*testing.T)
	}{
		{"a copied ConfigMap is no environment", func(t *testing.T) { copiedConfigMap(e.in(t)) }},
		{"two apps, once", func(t *testing.T) { twoAppsOnce(e.in(t)) }},
		{"logs", func(t *testing.T) { showsLogs(e.in(t)) }},
		{"two hundred saves", func(t *testing.T) { manySaves(e.in(t)) }},
		{"the node has the image before the pod", func(t *testing.T) { imagePrefetched(e.in(t)) }},
		{"the workload is deleted", func(t *testing.T) { workloadDeleted(e.in(t)) }},
		{"the folder is deleted and comes back", func(t *testing.T) { folderDeleted(e.in(t)) }},
		{"the registry restarts during a push", func(t *testing.T) { registryRestarts(e.in(t)) }},
		{"the API server is away", func(t *testing.T) { apiServerAway(e.in(t)) }},
		{"the build hangs", func(t *testing.T) { buildHangs(e.in(t)) }},
		{"the disk is full", func(t *testing.T) { diskFull(e.in(t)) }},
		{"the machine sleeps", func(t *testing.T) { machineSleeps(e.in(t)) }},
		{"the cluster is deleted and made again", func(t *testing.T) { clusterDeleted(e.in(t)) }},
	}
	for _, step := range steps {
		if !t.Run(step.name, step.run) {
			return // what follows builds on it
		}
	}
}

// app copies the example under another name.
func (e *env) app(name string) (dir, url string) {
	dir, _ = hello(e)
	replace(e.t, filepath.Join(dir, "workload.yaml"), "name: hello", "name: "+name)
	return dir, e.appURL(name)
}

// dev follows an app until the test ends or it is stopped; it has arrived once.
func (e *env) dev(dir string, arguments ...string) *background {
	e.t.Helper()
	dev := e.start(append([]string{"dev", dir, "--name", e.name, "--progress", "plain"}, arguments...)...)
	dev.says("Watching")
	return dev
}

// save writes a version into an app, and returns when it is really another.
func (e *env) save(dir, version string) {
	e.t.Helper()
	file := filepath.Join(dir, "main.go")
	content, err := os.ReadFile(file)
	if err != nil {
		e.t.Fatal(err)
	}
	place := versionLine.FindIndex(content)
	if place == nil {
		e.t.Fatalf("%s has no version", file)
	}
	changed := slices.Concat(content[:place[0]], []byte("version = \""+version+"\""), content[place[1]:])
	if err := os.WriteFile(file, changed, 0o644); err != nil {
		e.t.Fatal(err)
	}
}

var versionLine = regexp.MustCompile(`version\s+= "[^"]*"`)

// interrupt ends dev as Ctrl-C does, which must be quick and leave nothing behind.
func (b *background) interrupt() {
	b.e.t.Helper()
	start := time.Now()
	b.signal(syscall.SIGINT, true)
	if code := b.wait(); code != 130 {
		b.e.t.Errorf("Ctrl-C ends dev with %d, want 130\n%s", code, b.text())
	}
	// The promise is 2 s; a test machine under load gets more.
	took := time.Since(start)
	b.e.t.Logf("Ctrl-C ended dev after %v", took)
	if took > 5*time.Second {
		b.e.t.Errorf("Ctrl-C took %v", took)
	}
	if left := inGroup(b.command.Process.Pid); left != "" {
		b.e.t.Errorf("it left processes behind: %s", left)
	}
}

// inGroup lists the living processes of a session or group of the process that has ended.
func inGroup(pid int) string {
	out, _ := exec.Command("ps", "-eo", "pid,pgid,sid,stat,args").Output()
	var left []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[1] == strconv.Itoa(pid) && !strings.HasPrefix(fields[3], "Z") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return strings.Join(left, "; ")
}

func copiedConfigMap(e *env) {
	dir, _ := e.app("guarded")
	const settings = "slipway-environment"
	uid := e.kubectl("get", "configmap", "-n", "slipway-system", settings, "-o", "jsonpath={.data.cluster}")
	if system := e.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"); uid != system || uid == "" {
		e.t.Errorf("up recorded the cluster %q, and it is %q", uid, system)
	}
	e.kubectl("patch", "configmap", "-n", "slipway-system", settings, "--type=merge", "-p", `{"data":{"cluster":"11111111-2222-3333-4444-555555555555"}}`)
	e.fails(1, []string{"not a slipway environment", "of another cluster", uid, "Hint:"}, "dev", dir, "--name", e.name, "--once")
	if out, err := e.tryKubectl("", "get", "workload", "guarded"); err == nil {
		e.t.Errorf("a workload was applied all the same:\n%s", out)
	}
	e.run("up", "--name", e.name) // repairs it
	if again := e.kubectl("get", "configmap", "-n", "slipway-system", settings, "-o", "jsonpath={.data.cluster}"); again != uid {
		e.t.Errorf("up left the cluster as %q", again)
	}
}

func twoAppsOnce(e *env) {
	good, url := e.app("good")
	other, otherURL := e.app("other")
	report := filepath.Join(e.home, "apps.json")
	r := e.run("dev", good, other, "--name", e.name, "--once", "--report", report)
	if want := url + "\n" + otherURL + "\n"; r.stdout != want {
		e.t.Errorf("standard output is %q, want %q", r.stdout, want)
	}
	e.answers(url, helloVersion)
	e.answers(otherURL, helloVersion)

	// One that does not build leaves the other alone.
	e.save(good, "1.1.0")
	replace(e.t, filepath.Join(other, "main.go"), "func main() {", "func main() { nonsense")
	r = e.fails(1, []string{"nonsense", "1 of 2 apps did not become ready: other"}, "dev", good, other, "--name", e.name, "--once", "--report", report)
	e.answers(url, "1.1.0")
	content := readIfThere(e.t, report)
	for _, word := range []string{`"status": "failed"`, `"workload": "good"`, `"workload": "other"`} {
		if !strings.Contains(content, word) {
			e.t.Errorf("the report has no %s:\n%s\n%s", word, content, r.all())
		}
	}
	if junit := readIfThere(e.t, strings.TrimSuffix(report, ".json")+".xml"); strings.Count(junit, "<testsuite ") != 2 {
		e.t.Errorf("JUnit:\n%s", junit)
	}
	e.kubectl("delete", "workload", "other")
}

// imagePrefetched has no node for the pod of a save: its image is on the node all the same.
func imagePrefetched(e *env) {
	dir, url := e.app("early")
	dev := e.dev(dir)
	node := e.name + "-control-plane"
	e.kubectl("cordon", node)
	defer func() { _, _ = e.tryKubectl("", "uncordon", node) }() // also for the steps that follow a failure
	before := e.imageOf("early")
	e.save(dir, "1.2.0")
	e.eventually("the Deployment has the new image", func() (bool, string) { return e.imageOf("early") != before, before })
	image := e.imageOf("early")
	e.eventually("the node has "+image, func() (bool, string) {
		there := docker(e.t, "exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q")
		return strings.Contains(there, image), there
	})
	if running := e.kubectl("get", "pods", "-l", "app.kubernetes.io/name=early", "-o", "jsonpath={.items[*].status.containerStatuses[*].image}"); strings.Contains(running, image) {
		e.t.Errorf("a pod on the cordoned node runs %s", running)
	}
	e.kubectl("uncordon", node)
	e.answers(url, "1.2.0")
	dev.interrupt()
	e.kubectl("delete", "workload", "early")
}

func (e *env) imageOf(deployment string) string {
	return e.kubectl("get", "deployment", deployment, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

func showsLogs(e *env) {
	r := e.run("logs", "good", "--name", e.name, "--tail", "5")
	if !strings.Contains(r.stdout, "good-") || !strings.Contains(r.stdout, "1.1.0 listens on") {
		e.t.Errorf("logs: %s", r.all())
	}
	e.fails(1, []string{"no workload nonesuch", "default/good"}, "logs", "nonesuch", "--name", e.name)
	e.fails(1, []string{"no stage nonesuch", "deployment"}, "logs", "good", "--stage", "nonesuch", "--name", e.name)
	if r := e.run("logs", "good", "--stage", "deployment", "--name", e.name); !strings.Contains(r.stdout, "listens on") {
		e.t.Errorf("logs of a stage: %s", r.all())
	}
	if r := e.run("__complete", "logs", "--name", e.name, "g"); !strings.Contains(r.stdout, "good") {
		e.t.Errorf("completion: %s", r.all())
	}
	logs := e.start("logs", "good", "-f", "--name", e.name)
	logs.says("listens on")
	before := strings.Count(logs.text(), "listens on")
	e.kubectl("rollout", "restart", "deployment", "good")
	e.eventually("the lines of the new pod are there", func() (bool, string) {
		return strings.Count(logs.text(), "listens on") > before, logs.text()
	})
	logs.interrupt()
	e.kubectl("delete", "workload", "good")
}

// use is what a process uses of its machine.
type use struct{ descriptors, threads, kilobytes, temporary int }

func (b *background) use() use {
	b.e.t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(b.command.Process.Pid))
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		b.e.t.Fatal(err)
	}
	u := use{descriptors: len(files)}
	for line := range strings.Lines(readIfThere(b.e.t, filepath.Join(proc, "status"))) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &u.kilobytes)
		_, _ = fmt.Sscanf(line, "Threads: %d", &u.threads)
	}
	temporary, err := filepath.Glob(filepath.Join(os.TempDir(), "slipway-*"))
	if err != nil {
		b.e.t.Fatal(err)
	}
	u.temporary = len(temporary)
	return u
}

// goroutines ends dev with a dump of its goroutines, and returns how many there were.
func (b *background) goroutines() int {
	b.signal(syscall.SIGQUIT, false)
	b.wait()
	return strings.Count(b.text(), "\ngoroutine ")
}

// manySaves saves two hundred times in twenty seconds, and then a hundred times a minute for as long as SLIPWAY_SOAK says,
// such as 1h (default: 3 minutes).
func manySaves(e *env) {
	e.t.Setenv("TMPDIR", e.t.TempDir()) // of this test alone, since it is counted, and dumps leave something behind
	dir, url := e.app("many")
	idle := e.dev(dir)
	atRest := idle.goroutines()

	dev := e.dev(dir)
	before := dev.use()
	for i := range 200 {
		e.save(dir, fmt.Sprintf("2.0.%d", i))
		time.Sleep(100 * time.Millisecond)
	}
	e.answers(url, "2.0.199")
	e.assertCalm(dev, "many")
	e.t.Logf("before %+v, after 200 saves %+v", before, dev.use())

	length := 3 * time.Minute
	if text := os.Getenv("SLIPWAY_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			e.t.Fatal(err)
		}
	}
	settled := dev.use()
	saves := 0
	for start := time.Now(); time.Since(start) < length; saves++ {
		e.save(dir, fmt.Sprintf("3.0.%d", saves))
		// 100 saves a minute; some come during a build, some during a rollout, some after.
		due := start.Add(time.Duration(saves+1) * 600 * time.Millisecond)
		time.Sleep(time.Until(due) + time.Duration(rand.IntN(400)-200)*time.Millisecond)
	}
	e.answers(url, fmt.Sprintf("3.0.%d", saves-1))
	e.assertCalm(dev, "many")
	after := dev.use()
	e.t.Logf("after %d more saves in %v: %+v", saves, length, after)
	if after.descriptors > settled.descriptors+5 || after.temporary > settled.temporary || after.threads > settled.threads+10 {
		e.t.Errorf("it leaks: %+v, and after %d saves %+v", settled, saves, after)
	}
	if after.kilobytes > settled.kilobytes*3/2 {
		e.t.Errorf("memory grew from %d to %d kB in %d saves", settled.kilobytes, after.kilobytes, saves)
	}
	if now := dev.goroutines(); now > atRest+10 {
		e.t.Errorf("%d goroutines, and %d after the first run:\n%s", now, atRest, dev.text())
	}
	e.kubectl("delete", "workload", "many")
}

// assertCalm waits until an app has but one pod, and dev waits for a save.
func (e *env) assertCalm(dev *background, app string) {
	e.t.Helper()
	e.sees("one pod is left", func(out string) bool { return len(strings.Fields(out)) == 1 },
		"get", "pods", "-l", "carto.run/workload-name="+app, "-o", "jsonpath={.items[*].metadata.name}")
	e.eventually("dev waits for a save", func() (bool, string) {
		text := dev.text()
		return strings.LastIndex(text, "Watching") > strings.LastIndex(text, "Run "), text
	})
}

func workloadDeleted(e *env) {
	dir, url := e.app("deleted")
	dev := e.dev(dir)
	e.kubectl("delete", "workload", "deleted")
	dev.says("has been deleted")
	e.save(dir, "4.0.0")
	dev.says("had been deleted, and is made again")
	e.answers(url, "4.0.0")
	dev.interrupt()
}

func folderDeleted(e *env) {
	dir, url := e.app("folder")
	dev := e.dev(dir)
	away := dir + "-away"
	if err := os.Rename(dir, away); err != nil {
		e.t.Fatal(err)
	}
	dev.says("is gone")
	if err := os.Rename(away, dir); err != nil {
		e.t.Fatal(err)
	}
	e.save(dir, "5.0.0")
	e.answers(url, "5.0.0")
	e.save(dir, "5.0.1")
	e.answers(url, "5.0.1")
	dev.interrupt()
	e.kubectl("delete", "workload", "folder")
}

// large makes the app's program so large that its push takes a while, and another one each time.
func large(t *testing.T, dir string, megabytes int) {
	t.Helper()
	content := make([]byte, megabytes<<20)
	source := rand.NewChaCha8([32]byte{byte(time.Now().UnixNano()), byte(megabytes)})
	_, _ = source.Read(content)
	if err := os.WriteFile(filepath.Join(dir, "cargo.bin"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	program := "package main\n\nimport _ \"embed\"\n\n//go:embed cargo.bin\nvar cargo []byte\n\nfunc init() { println(\"cargo\", len(cargo)) }\n"
	if err := os.WriteFile(filepath.Join(dir, "cargo.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
}

func registryRestarts(e *env) {
	dir, url := e.app("cargo")
	dev := e.start("dev", dir, "--name", e.name, "--progress", "json")
	dev.says(`"type":"watching"`)
	pushes := func() int { return strings.Count(dev.text(), `"id":"push"`) }
	before := pushes()
	large(e.t, dir, 150)
	e.save(dir, "6.0.0")
	e.eventually("a push has begun", func() (bool, string) { return pushes() > before, dev.text() })
	docker(e.t, "kill", e.name+"-registry")
	time.Sleep(2 * time.Second)
	docker(e.t, "start", e.name+"-registry")
	e.answers(url, "6.0.0")
	if strings.Contains(dev.text(), `"type":"failed"`) {
		e.t.Errorf("a run failed:\n%s", dev.text())
	}
	dev.interrupt()
	e.kubectl("delete", "workload", "cargo")
}

func apiServerAway(e *env) {
	dir, url := e.app("outage")
	dev := e.dev(dir)
	node := e.name + "-control-plane"

	// It hangs: connections are taken, and nothing answers.
	docker(e.t, "pause", node)
	e.save(dir, "7.0.0")
	dev.says("the cluster does not answer")
	time.Sleep(20 * time.Second)
	docker(e.t, "unpause", node)
	dev.says("The cluster answers again")
	e.answers(url, "7.0.0")

	// It is gone: connections are refused.
	docker(e.t, "exec", node, "sh", "-c", "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/ && pkill -f '^kube-apiserver'")
	e.eventually("the API server is gone", func() (bool, string) {
		out, err := e.tryKubectl("", "get", "--raw", "/readyz", "--request-timeout=1s")
		return err != nil, out
	})
	e.save(dir, "7.0.1")
	e.eventually("dev says so again", func() (bool, string) {
		return strings.Count(dev.text(), "the cluster does not answer") > 1, dev.text()
	})
	time.Sleep(10 * time.Second)
	docker(e.t, "exec", node, "mv", "/root/kube-apiserver.yaml", "/etc/kubernetes/manifests/")
	e.answers(url, "7.0.1")
	dev.interrupt()
	e.kubectl("delete", "workload", "outage")
}

// buildHangs has a go command in front of the real one that does not end while a file is there.
func buildHangs(e *env) {
	dir, url := e.app("hangs")
	tools := e.t.TempDir()
	real, err := exec.LookPath("go")
	if err != nil {
		e.t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in build) if [ -e %s/hang ]; then sleep 7777 & wait; fi;; esac\nexec %s \"$@\"\n", tools, real)
	if err := os.WriteFile(filepath.Join(tools, "go"), []byte(script), 0o755); err != nil {
		e.t.Fatal(err)
	}
	e.path = tools
	hang := func() {
		if err := os.WriteFile(filepath.Join(tools, "hang"), nil, 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
	dev := e.dev(dir)
	hang()
	e.save(dir, "8.0.0")
	dev.says("so far)") // how long it has taken
	if err := os.Remove(filepath.Join(tools, "hang")); err != nil {
		e.t.Fatal(err)
	}
	e.save(dir, "8.0.1") // a save ends the build that hangs
	e.answers(url, "8.0.1")
	hang()
	e.save(dir, "8.0.2")
	dev.says("Run 4")
	dev.interrupt()
	e.eventually("no hanging compiler is left", func() (bool, string) {
		out, _ := exec.Command("pgrep", "-af", "^sleep 7777").CombinedOutput()
		return len(out) == 0, string(out)
	})
	e.kubectl("delete", "workload", "hangs")
}

// diskFull has the temporary folder on a disk that is too small, and then large enough.
func diskFull(e *env) {
	small := e.t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small).CombinedOutput(); err != nil {
		e.t.Skipf("a small disk needs the right to mount: %s", out)
	}
	e.t.Cleanup(func() { _ = exec.Command("umount", "-l", small).Run() })
	e.t.Setenv("TMPDIR", small)
	dir, url := e.app("full")
	dev := e.start("dev", dir, "--name", e.name, "--progress", "plain")
	dev.says("no space left on device")
	dev.says("a disk is full")
	if out, err := exec.Command("mount", "-o", "remount,size=800m", small).CombinedOutput(); err != nil {
		e.t.Fatalf("%v: %s", err, out)
	}
	e.save(dir, "9.0.0")
	e.answers(url, "9.0.0")
	dev.interrupt()
	if left, err := os.ReadDir(small); err != nil || len(left) > 0 {
		e.t.Errorf("it left %v in the temporary folder (%v)", left, err)
	}
	e.kubectl("delete", "workload", "full")
}

// machineSleeps stops dev, which then sees its clocks jump, as it does when a laptop sleeps.
func machineSleeps(e *env) {
	dir, url := e.app("sleeps")
	dev := e.dev(dir, "--timeout", "15s")
	stop := func() {
		dev.signal(syscall.SIGSTOP, false)
		time.Sleep(20 * time.Second)
		dev.signal(syscall.SIGCONT, false)
	}
	stop()
	e.save(dir, "10.0.0")
	e.answers(url, "10.0.0")
	e.save(dir, "10.0.1")
	// A run that reached its time limit has another of its own accord, once the pod is there.
	e.eventually("the second save has its run", func() (bool, string) {
		return strings.Count(dev.text(), ": main.go\n") == 2, dev.text()
	})
	stop()
	dev.says("This machine slept for 2")
	e.answers(url, "10.0.1")
	dev.interrupt()
	e.kubectl("delete", "workload", "sleeps")
}

func clusterDeleted(e *env) {
	dir, _ := e.app("phoenix")
	dev := e.dev(dir)
	builder := e.start("build", "--watch", "--name", e.name, "--progress", "plain")
	builder.says("Building what supply chains ask for")
	e.run("down", "--name", e.name)
	dev.says("environment " + e.name + " has been removed")
	builder.says("environment " + e.name + " has been removed")
	e.run("up", "--name", e.name)
	dev.says("The environment was made again")
	builder.says("The environment was made again")
	e.apply(`{"apiVersion": "slipway.dev/v1alpha1", "kind": "Build", "metadata": {"name": "phoenix-image"},
		"spec": {"image": "localhost:5000/apps/phoenix-image", "source": {"url": "http://` + e.name + `-registry:5000/v2/none/blobs/none"}}}`)
	e.sees("the builder answers in the new cluster", func(out string) bool { return out == "BuildFailed" },
		"get", "builds.slipway.dev", "phoenix-image", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].reason}`)
	builder.interrupt()
	e.answers(e.appURL("phoenix"), helloVersion)
	e.save(dir, "11.0.0")
	e.answers(e.appURL("phoenix"), "11.0.0")
	dev.interrupt()
}
