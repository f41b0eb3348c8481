package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sums is a folder with a Go source that needs nothing but the standard library, and its history.
type sums struct {
	*env
	dir string
}

func newSums(e *env, url string) *sums {
	s := &sums{env: e, dir: e.t.TempDir()}
	s.git("init", "-q", "-b", "main")
	s.git("remote", "add", "origin", url)
	s.write("go.mod", "module example.com/sums\n\ngo 1.24\n")
	s.write("sum.go", "package sums\n\n// Sum adds.\nfunc Sum(a, b int) int { return a + b }\n")
	s.test(`if Sum(1, 2) != 3 { t.Error("wrong") }`)
	return s
}

func (s *sums) git(arguments ...string) string {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, arguments...)...)
	command.Dir = s.dir
	out, err := command.CombinedOutput()
	if err != nil {
		s.t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (s *sums) write(file, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, file), []byte(content), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// test makes the source's one test.
func (s *sums) test(body string) {
	s.t.Helper()
	s.write("sum_test.go", "package sums\n\nimport (\n\t\"testing\"\n\t\"time\"\n)\n\nvar second = time.Second\n\nfunc TestSum(t *testing.T) {\n\t"+body+"\n}\n")
}

// push commits and pushes what there is, and returns its revision.
func (s *sums) push(message string) string {
	s.t.Helper()
	s.git("add", "-A")
	s.git("commit", "-q", "--allow-empty", "-m", message)
	s.git("push", "-q", "origin", "main")
	return "main@sha1:" + s.git("rev-parse", "HEAD")
}

// passes waits until a revision has come through the tester.
func (s *sums) passes(revision string) {
	s.t.Helper()
	took := s.sees(revision+" is passed on", func(out string) bool { return out == revision },
		"get", "configmap", "passed", "-o", "jsonpath={.data.revision}")
	s.t.Logf("from the push until %s was passed on: %v", revision[:14], took)
}

// testRun is a TestRun as the tests read it.
type testRun struct {
	Metadata struct{ Name string }
	Spec     struct{ Source struct{ Revision string } }
	Status   struct {
		Job, CachedFrom string
		Conditions      []struct{ Status, Reason, Message string }
	}
}

// of are the runs of a revision.
func (s *sums) of(revision string) (runs []testRun) {
	s.t.Helper()
	var list struct{ Items []testRun }
	if err := json.Unmarshal([]byte(s.kubectl("get", "testruns", "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, run := range list.Items {
		if run.Spec.Source.Revision == revision {
			runs = append(runs, run)
		}
	}
	return runs
}

// TestTester has commits go over the environment's git server to the source and its tests: green, red, repaired, known
// already, and with the controller killed meanwhile; and sources that cannot be had.
func TestTester(t *testing.T) {
	e := newEnv(t, "e2e-tester")
	e.run("up", "--name", e.name, "--profile", "testing", "--progress", "plain")
	url := strings.TrimSpace(e.run("git", "url", "team/sums", "--name", e.name).stdout)
	image := toolchain(t, e.status().Registry.Address+"/images/golang")
	manifests, err := os.ReadFile(filepath.Join("testdata", "tester.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	s := newSums(e, url)
	first := s.push("first")
	e.apply(strings.NewReplacer("IMAGE", image, "URL", url, "GITHOST", host).Replace(string(manifests)))
	s.passes(first)
	s.contained()
	s.limited()

	// Red: nothing is passed on, and the log is one command away.
	s.test(`if Sum(2, 2) != 5 { t.Fatal("two and two are not five") }`)
	red := s.push("red")
	s.sees("the stage is red", func(out string) bool { return strings.Contains(out, "two and two are not five") },
		"get", "workload", "sums", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	if passed := s.kubectl("get", "configmap", "passed", "-o", "jsonpath={.data.revision}"); passed != first {
		t.Errorf("%s is passed on, want %s", passed, first)
	}
	logs := e.run("logs", "sums", "--stage", "source-tester", "--name", e.name, "-n", "default").stdout
	if !strings.Contains(logs, "--- FAIL: TestSum") || !strings.Contains(logs, "two and two are not five") || strings.Contains(logs, "ok  \texample.com/sums") {
		t.Errorf("the log is\n%s", logs)
	}
	if why := e.try("why", "sums", "--name", e.name, "-n", "default"); why.code != 1 || !strings.Contains(why.stdout, "TestRun sums-") || !strings.Contains(why.stdout, "two and two are not five") {
		t.Errorf("why says, with exit code %d, %s", why.code, why.all())
	}
	s.test(`if Sum(2, 2) != 4 { t.Fatal("two and two are not four") }`)
	repaired := s.push("repaired")
	s.passes(repaired)

	// Another commit of the same files needs no tests.
	same := s.push("nothing but a word")
	s.passes(same)
	runs := s.of(same)
	if len(runs) != 1 || runs[0].Status.Conditions[0].Reason != "Cached" || runs[0].Status.Job != "" || runs[0].Status.CachedFrom != s.of(repaired)[0].Metadata.Name {
		t.Errorf("the runs are %+v", runs)
	}
	if tree := e.run("tree", "sums", "--name", e.name, "-n", "default").stdout; !strings.Contains(tree, "cached") {
		t.Errorf("the tree does not say that the tests were not run:\n%s", tree)
	}

	// The controller dies in the middle of tests, which are not run twice.
	s.test("for range 5 {\n\t\tt.Log(<-time.After(second))\n\t}")
	slow := s.push("slow")
	s.sees("the slow tests run", func(out string) bool { return out == "Running" },
		"get", "testruns", "-o", `jsonpath={.items[?(@.spec.source.revision=="`+slow+`")].status.conditions[0].reason}`)
	s.kubectl("delete", "pod", "-n", "slipway-system", "-l", "app.kubernetes.io/name=slipway-controller", "--force", "--grace-period=0")
	s.passes(slow)
	if runs := s.of(slow); len(runs) != 1 {
		t.Errorf("%d runs, want 1: %+v", len(runs), runs)
	}
	for revision, want := range map[string]int{red: 1, slow: 1} {
		run := s.of(revision)[0].Metadata.Name
		if pods := strings.Fields(s.kubectl("get", "pods", "-l", "slipway.dev/test-run="+run, "-o", "name")); len(pods) != want {
			t.Errorf("%s has had %d pods, want %d", revision, len(pods), want)
		}
	}
	s.askedAgain(slow)
	s.unobtainable()
}

// contained : the pod of the tests has no token, no rights, and what the restricted profile asks.
func (s *sums) contained() {
	s.t.Helper()
	var pods struct {
		Items []struct {
			Spec struct {
				ServiceAccountName           string
				AutomountServiceAccountToken *bool
				SecurityContext              struct {
					RunAsNonRoot   bool
					SeccompProfile struct{ Type string }
				}
				Volumes []map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(s.kubectl("get", "pods", "-l", "slipway.dev/test-run", "-o", "json")), &pods); err != nil {
		s.t.Fatal(err)
	}
	if len(pods.Items) != 1 {
		s.t.Fatalf("%d pods", len(pods.Items))
	}
	spec := pods.Items[0].Spec
	if spec.ServiceAccountName != "slipway-test" || spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken ||
		!spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
		s.t.Errorf("the pod is %+v", spec)
	}
	for _, volume := range spec.Volumes {
		if volume["projected"] != nil || volume["secret"] != nil {
			s.t.Errorf("the pod has the volume %v", volume)
		}
	}
}

// limited : the controller's own identity reads no secret, its pod has no privilege, and its watches are all allowed.
func (s *sums) limited() {
	s.t.Helper()
	const controller = "system:serviceaccount:slipway-system:slipway-controller"
	for arguments, want := range map[string]string{
		"get secrets -A": "no", "list secrets -A": "no", "watch secrets -A": "no", "get secret/slipway-webhook -n slipway-system": "no",
		"create secrets -n default": "no", "patch deployments -n default": "no", "create jobs -n default": "no",
		"watch runnables.carto.run -A": "yes", "watch jobs -A": "yes",
	} {
		out, _ := s.tryKubectl("", append([]string{"auth", "can-i", "--as=" + controller}, strings.Fields(arguments)...)...)
		if lines := strings.Fields(out); len(lines) == 0 || lines[len(lines)-1] != want {
			s.t.Errorf("may the controller %s? %s, want %s", arguments, out, want)
		}
	}
	if groups := s.kubectl("get", "clusterrole", "slipway-controller-stamped", "-o", "jsonpath={.rules[*].apiGroups}"); !strings.Contains(groups, "kpack.io") {
		s.t.Errorf("the role for kinds of others has the groups %s", groups)
	}
	said := s.kubectl("logs", "-n", "slipway-system", "deployment/slipway-controller")
	for line := range strings.Lines(said) {
		if strings.Contains(line, "forbidden") && strings.Contains(line, controller) {
			s.t.Errorf("the controller is refused something: %s", line)
		}
	}
	pod := s.kubectl("get", "pods", "-n", "slipway-system", "-o", "jsonpath={.items[*].spec.containers[*].securityContext} {.items[*].spec.securityContext}")
	for _, word := range []string{`"readOnlyRootFilesystem":true`, `"allowPrivilegeEscalation":false`, `"runAsNonRoot":true`, `"type":"RuntimeDefault"`, `"drop":["ALL"]`} {
		if !strings.Contains(pod, word) {
			s.t.Errorf("the controller's pod has no %s: %s", word, pod)
		}
	}
	if policies := s.kubectl("get", "networkpolicies", "-n", "slipway-system", "-o", "name"); !strings.Contains(policies, "slipway-deny") || !strings.Contains(policies, "slipway-controller") {
		s.t.Errorf("the policies are %s", policies)
	}
}

// askedAgain : reconcile asks what follows something, and waits until that has looked.
func (s *sums) askedAgain(revision string) {
	s.t.Helper()
	var results []struct {
		Name, Kind, Ready, Revision string
		Observed                    bool
	}
	out := s.run("reconcile", "sums", "--name", s.name, "-n", "default", "-o", "json").stdout
	if err := json.Unmarshal([]byte(out), &results); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	if len(results) != 1 || results[0].Kind != "Source" || !results[0].Observed || results[0].Ready != "True" || results[0].Revision != revision {
		s.t.Errorf("reconcile says %s", out)
	}
	if r := s.try("reconcile", "source/bad-branch", "--name", s.name, "-n", "default"); r.code != 1 || !strings.Contains(r.stdout, "ReferenceNotFound") {
		s.t.Errorf("reconcile says, with exit code %d, %s", r.code, r.all())
	}
	s.fails(1, []string{`"none" not found`}, "reconcile", "source/none", "--name", s.name, "-n", "default")
}

// unobtainable : each source that cannot be had says why.
func (s *sums) unobtainable() {
	s.t.Helper()
	for name, want := range map[string][]string{
		"bad-repository": {"NotFound", "nobody/has-this"},
		"bad-host":       {"Unreachable", "localhost:1"},
		"bad-branch":     {"ReferenceNotFound", "gone"},
		"no-secret":      {"Unauthorized", "missing"},
	} {
		s.sees(fmt.Sprintf("source %s says %q", name, want), func(out string) bool {
			return strings.HasPrefix(out, want[0]+" ") && strings.Contains(out, want[1])
		}, "get", "source", name, "-o", "jsonpath={.status.conditions[0].reason} {.status.conditions[0].message}")
	}
}

// toolchain has the Go toolchain of this machine in the environment's registry.
func toolchain(t *testing.T, image string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "run", "./scripts/images/golang", image)
	command.Dir = filepath.Join("..", "..")
	var problem strings.Builder
	command.Stderr = &problem
	out, err := command.Output()
	if err != nil {
		t.Fatalf("packing the toolchain: %v\n%s", err, problem.String())
	}
	return strings.TrimSpace(string(out))
}
