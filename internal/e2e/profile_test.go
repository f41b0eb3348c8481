package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
)

// tellerSource is an app that writes what it was bound to and its environment, and listens where it is told to.
const tellerSource = `package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

func main() {
	files, _ := filepath.Glob(filepath.Join(os.Getenv("SERVICE_BINDING_ROOT"), "*", "*"))
	for _, file := range files {
		content, err := os.ReadFile(file)
		fmt.Println("bound", file, string(content), err)
	}
	fmt.Println("color", os.Getenv("COLOR"), "port", os.Getenv("PORT"))
	port := os.Getenv("PORT")
	if port == "" {
		port = "1234"
	}
	panic(http.ListenAndServe(":"+port, nil))
}
`

// claiming are a server and a worker of an image that somebody has built, which claim a secret each. That of the worker is
// missing.
const claiming = `apiVersion: v1
kind: Secret
metadata: {name: db, namespace: events}
stringData: {type: postgresql, password: opensesame}
---
apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: serving
  namespace: events
  labels: {apps.tanzu.vmware.com/workload-type: server, apps.tanzu.vmware.com/has-tests: "true"}
spec:
  image: IMAGE
  env: [{name: COLOR, value: blue}]
  resources: {requests: {cpu: 20m, memory: 20Mi}, limits: {memory: 64Mi}}
  params: [{name: ports, value: [{port: 9090, containerPort: 8081, name: api}]}]
  serviceClaims: [{name: store, ref: {apiVersion: v1, kind: Secret, name: db}}]
---
apiVersion: carto.run/v1alpha1
kind: Workload
metadata:
  name: working
  namespace: events
  labels: {apps.tanzu.vmware.com/workload-type: worker, apps.tanzu.vmware.com/has-tests: "true"}
spec:
  image: IMAGE
  serviceClaims: [{name: queue, ref: {apiVersion: v1, kind: Secret, name: absent}}]
`

// claims has workloads of types server and worker go from an image to Ready pods that their claimed secrets are mounted
// into; one that is missing is named.
func (e *events) claims() {
	e.t.Helper()
	e.apply(strings.ReplaceAll(claiming, "IMAGE", push(e.t, e.registry+"/apps/teller", buildProgram(e.t, tellerSource))))
	e.becomesReady("serving")
	for what, want := range map[string]string{
		`deployment/serving -o jsonpath={.spec.template.spec.containers[0].resources}`:                        `{"limits":{"memory":"64Mi"},"requests":{"cpu":"20m","memory":"20Mi"}}`,
		`service/serving -o jsonpath={.spec.ports[*].name}:{.spec.ports[*].port}:{.spec.ports[*].targetPort}`: "api:9090:8081",
		`services,ingresses -o name -l carto.run/workload-name=working`:                                       "",
		`ingresses -o name -l carto.run/workload-name=serving`:                                                "",
	} {
		if got := strings.TrimPrefix(e.kubectl(append([]string{"get", "-n", "events"}, strings.Fields(what)...)...), "No resources found in events namespace."); got != want {
			e.t.Errorf("get %s: %s, want %s", what, got, want)
		}
	}
	said := e.kubectl("logs", "-n", "events", "deployment/serving")
	for _, want := range []string{"bound /bindings/store/type postgresql <nil>", "bound /bindings/store/password opensesame <nil>", "color blue port 8081"} {
		if !strings.Contains(said, want) {
			e.t.Errorf("the server does not say %q:\n%s", want, said)
		}
	}
	e.eventually("why names the missing secret", func() (bool, string) {
		why := e.try("why", "working", "-n", "events", "--name", e.name)
		return why.code == 1 && strings.Contains(why.stdout, `secret "absent" not found`), why.all()
	})
	e.kubectl("create", "secret", "generic", "absent", "-n", "events", "--from-literal=type=rabbitmq")
	e.becomesReady("working")
	if said := e.kubectl("logs", "-n", "events", "deployment/working"); !strings.Contains(said, "bound /bindings/queue/type rabbitmq <nil>") {
		e.t.Errorf("the worker says:\n%s", said)
	}
	e.kubectl("delete", "workloads", "-n", "events", "serving", "working")
}

// becomesReady waits for a workload of the namespace.
func (e *events) becomesReady(workload string) {
	e.t.Helper()
	took := e.sees("workload "+workload+" is Ready", func(out string) bool { return out == "True" },
		"get", "workload", workload, "-n", "events", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
	e.t.Logf("%s is Ready after %v", workload, took)
}

// upAgain leaves a template that was changed, and says so.
func (e *events) upAgain() {
	e.t.Helper()
	before := e.marks("shop")
	up := e.run("up", "--name", e.name, "--profile", "testing", "--progress", "plain")
	if said := up.all(); strings.Count(said, "Left as it is:") != 1 || !strings.Contains(said, "clusterconfigtemplate config-template, which was changed here (by editor)") {
		e.t.Errorf("up does not say that it leaves a changed template, and nothing else, alone:\n%s", said)
	}
	if text := e.kubectl("get", "clusterconfigtemplate", "config-template", "-o", "yaml"); !strings.Contains(text, "revisionHistoryLimit: 5") {
		e.t.Errorf("the template is\n%s", text)
	}
	if now := e.marks("shop"); now["delivery/deployer"] != before["delivery/deployer"] {
		e.t.Error("up has had the app delivered anew")
	}
	e.kubectl("delete", "clusterconfigtemplate", "config-template")
	if said := e.run("up", "--name", e.name, "--profile", "testing", "--progress", "plain").all(); strings.Contains(said, "Left as it is:") {
		e.t.Errorf("up does not bring back a template that was deleted:\n%s", said)
	}
	e.await("the profile's own template is delivered", "shop", before)
}

// noPlan : a dev whose namespace has no TestPlan says so, and goes on by itself once there is one. Its chain starts at
// source, so nothing is synced, which it says, too.
func (e *events) noPlan(dir, plan string) {
	e.t.Helper()
	dev := e.start("dev", dir, "--name", e.name, "--sync", "--progress", "plain")
	dev.says("nothing is synced, and each save goes the whole way")
	dev.says("there is no TestPlan with the labels apps.tanzu.vmware.com/pipeline=test in namespace default: make one, and this goes on by itself")
	dev.says("Watching")
	if why := e.try("why", "tested", "-n", "default", "--name", e.name); why.code != 1 || !strings.Contains(why.stdout, "stage source-tester") || !strings.Contains(why.stdout, "there is no TestPlan") {
		e.t.Errorf("why says, with exit code %d, %s", why.code, why.all())
	}
	e.apply(plan)
	dev.says("source-tester goes on")
	dev.saysTimes("Watching", 2)
	e.answers(e.appURL("tested"), "High tide in")
	replace(e.t, filepath.Join(dir, "main.go"), "High tide in", "Spring tide in")
	dev.saysTimes("Watching", 3)
	e.answers(e.appURL("tested"), "Spring tide in")
	dev.signal(syscall.SIGINT, true)
	dev.wait()
	replace(e.t, filepath.Join(dir, "main.go"), "Spring tide in", "High tide in")
}

// devOfImage : dev feeds the chain that starts at an image, and follows its delivery to the pod.
func (e *events) devOfImage() {
	e.t.Helper()
	dir := copyDir(e.t, filepath.Join(examples(e.t), "hello"))
	workload := filepath.Join(dir, "workload.yaml")
	replace(e.t, workload, "apps.tanzu.vmware.com/workload-type: web", "apps.tanzu.vmware.com/workload-type: web\n    apps.tanzu.vmware.com/has-tests: \"true\"")
	replace(e.t, workload, "spec:", fmt.Sprintf("spec:\n  image: %s/apps/hello", e.registry))
	for _, answer := range []string{"hello 1.0.0", "hello 1.1.0"} {
		replace(e.t, filepath.Join(dir, "main.go"), "1.0.0", strings.TrimPrefix(answer, "hello "))
		e.run("dev", dir, "--name", e.name, "--once")
		if _, body, err := get(e.t.Context(), e.appURL("hello")); err != nil || !strings.Contains(body, answer) {
			e.t.Errorf("dev has ended, and the app answers %q, %v; want %q", body, err, answer)
		}
	}
}
