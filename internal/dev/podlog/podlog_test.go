package podlog_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"slipway.dev/slipway/api/carto/v1alpha1"
	"slipway.dev/slipway/internal/dev/podlog"
)

func owned(name, kind, owner string) metav1.ObjectMeta {
	meta := metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}
	if owner != "" {
		meta.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, UID: types.UID("uid-" + owner)}}
	}
	return meta
}

func TestOf(t *testing.T) {
	workload := &v1alpha1.Workload{}
	for _, stamped := range []struct{ stage, kind, name string }{{"app", "Deployment", "hello"}, {"test", "TestRun", "hello-1"}, {"image", "Image", "hello"}} {
		workload.Status.Resources = append(workload.Status.Resources, v1alpha1.ResourceStatus{
			Name: stamped.stage, StampedRef: &v1alpha1.StampedRef{Kind: stamped.kind, Name: stamped.name},
		})
	}
	labelled := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "labelled", Labels: map[string]string{v1alpha1.LabelWorkloadName: "hello"}}}
	pods := []*corev1.Pod{
		{ObjectMeta: owned("z-app", "ReplicaSet", "hello-r1")},
		{ObjectMeta: owned("test", "Job", "hello-1-job")},
		{ObjectMeta: owned("other", "ReplicaSet", "other-r1")},
		{ObjectMeta: owned("alone", "", "")},
		labelled,
	}
	between := []metav1.Object{
		&metav1.ObjectMeta{}, &[]metav1.ObjectMeta{owned("hello-r1", "Deployment", "hello")}[0], &[]metav1.ObjectMeta{owned("hello-1-job", "TestRun", "hello-1")}[0],
		&[]metav1.ObjectMeta{owned("other-r1", "Deployment", "other")}[0],
	}
	for _, test := range []struct {
		label, stage string
		want         []string
	}{
		{"hello", "", []string{"labelled", "test", "z-app"}},
		{"", "test", []string{"test"}},
		{"", "image", nil},
		{"", "app", []string{"z-app"}},
	} {
		var got []string
		for _, pod := range podlog.Of(pods, test.label, podlog.Roots(workload, test.stage), between) {
			got = append(got, pod.Name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("label %q, stage %q (-want +got):\n%s", test.label, test.stage, diff)
		}
	}
}

// TestOfRunnables : of the runs of a Runnable the last one counts, and that only where the Runnable is asked for.
func TestOfRunnables(t *testing.T) {
	workload := &v1alpha1.Workload{}
	workload.Status.Resources = []v1alpha1.ResourceStatus{{Name: "tester", StampedRef: &v1alpha1.StampedRef{Kind: v1alpha1.KindRunnable, Name: "hello"}}}
	pod := func(name, job, runnable string, minute int) *corev1.Pod {
		controls := true
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Unix(int64(60*minute), 0)),
			Labels:          map[string]string{v1alpha1.LabelRunnableName: runnable, v1alpha1.LabelWorkloadName: "labelled"},
			OwnerReferences: []metav1.OwnerReference{{Kind: "Job", Name: job, UID: types.UID(job), Controller: &controls}},
		}}
	}
	pods := []*corev1.Pod{pod("new-2", "run-2", "hello", 3), pod("old", "run-1", "hello", 1), pod("new-1", "run-2", "hello", 2), pod("other", "run-3", "other", 9)}
	for label, want := range map[string][]string{"": {"new-1", "new-2"}, "labelled": {"new-1", "new-2", "old", "other"}} {
		var got []string
		for _, pod := range podlog.Of(pods, label, podlog.Roots(workload, ""), nil) {
			got = append(got, pod.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("label %q (-want +got):\n%s", label, diff)
		}
	}
	if got := podlog.Of(pods, "", podlog.Roots(workload, "app"), nil); len(got) > 0 {
		t.Errorf("another stage has the pods %v", got)
	}
}

// kubelet is an API server that knows logs alone. A stream of a pod that goes on breaks off after each of its parts.
type kubelet struct {
	mutex sync.Mutex
	parts map[string][]string // of pod/container
	asked []string
}

func (k *kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/") // /api/v1/namespaces/n/pods/p/log
	pod := parts[6]
	if len(parts) == 7 {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"`+pod+`"}}`)
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	query := r.URL.Query()
	k.asked = append(k.asked, pod+" "+query.Get("sinceTime")+" "+query.Get("tailLines"))
	left := k.parts[pod+"/"+query.Get("container")]
	if len(left) == 0 {
		return
	}
	k.parts[pod+"/"+query.Get("container")] = left[1:]
	_, _ = io.WriteString(w, left[0])
	if len(left) > 1 {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler) // the connection breaks
	}
}

func client(t *testing.T, k *kubelet) kubernetes.Interface {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	c, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stamp(second int, text string) string {
	return fmt.Sprintf("2026-01-01T00:00:%02d.5Z %s\n", second, text)
}

func running(name string, restarts int32) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "n", UID: types.UID(name)}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: "app", RestartCount: restarts, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}}}
}

// TestFollow has a stream that breaks and repeats itself, a pod that comes later, and a container that starts again.
func TestFollow(t *testing.T) {
	k := &kubelet{parts: map[string][]string{
		"a/app": {stamp(1, "a1") + stamp(2, "a2"), stamp(2, "a2") + stamp(3, "a3 and more"), stamp(9, "after a restart")},
		"b/app": {stamp(4, "b1")},
	}}
	var (
		mutex sync.Mutex
		pods  = []*corev1.Pod{running("a", 0)}
		lines = make(chan string, 100)
	)
	changed := make(chan struct{}, 1)
	next := func() string {
		select {
		case line := <-lines:
			return line
		case <-time.After(time.Minute):
			return "nothing came"
		}
	}
	tail := podlog.Follow(t.Context(), client(t, k), podlog.Options{Since: time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC)}, changed, func() []*corev1.Pod {
		mutex.Lock()
		defer mutex.Unlock()
		return slices.Clone(pods)
	}, func(pod, container, line string) { lines <- pod + "/" + container + " " + line })
	ended := false
	tail.AtEnd(func() { ended = true })
	for _, want := range []string{"a/app a1", "a/app a2", "a/app a3 and more", "a/app after a restart"} {
		if got := next(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	mutex.Lock()
	pods = append(pods, running("b", 0))
	mutex.Unlock()
	changed <- struct{}{}
	if got := next(); got != "b/app b1" {
		t.Errorf("of a pod that came later: %q", got)
	}
	k.mutex.Lock()
	k.parts["a/app"] = []string{stamp(10, "second life")}
	k.mutex.Unlock()
	mutex.Lock()
	pods[0] = running("a", 1)
	mutex.Unlock()
	changed <- struct{}{}
	if got := next(); got != "a/app second life" {
		t.Errorf("of a container that was started again: %q", got)
	}
	tail.Close()
	if !ended || len(lines) > 0 {
		t.Errorf("ended %v, and %d lines are left", ended, len(lines))
	}
}

func TestPrint(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	k := &kubelet{parts: map[string][]string{"a/app": {stamp(1, "one") + stamp(2, long) + "no time\n" + stamp(3, "")}}}
	var lines []string
	err := podlog.Print(t.Context(), client(t, k), "n", "a", "app", false, podlog.Options{Lines: 7}, func(line string) { lines = append(lines, line) })
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 4 || lines[0] != "one" || len(lines[1]) > 20_000 || lines[2] != "no time" || lines[3] != "" {
		t.Errorf("%d lines: %.100q", len(lines), lines)
	}
	if diff := cmp.Diff([]string{"a  7"}, k.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestWordsOfTheKubelet are no lines of the program, which may write the same: then they have a time.
func TestWordsOfTheKubelet(t *testing.T) {
	const gone = `rpc error: code = NotFound desc = an error occurred when try to find container "404210dd": not found`
	k := &kubelet{parts: map[string][]string{"a/app": {stamp(1, gone) + gone}, "b/app": {"unable to retrieve container logs for containerd://1"}}}
	c := client(t, k)
	for pod, want := range map[string][]string{"a": {gone}, "b": nil} {
		var lines []string
		err := podlog.Print(t.Context(), c, "n", pod, "app", false, podlog.Options{}, func(line string) { lines = append(lines, line) })
		if err == nil || !slices.Equal(lines, want) {
			t.Errorf("of pod %s: %q, %v", pod, lines, err)
		}
	}
}
