package podlog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Options say which lines are read.
type Options struct {
	Since time.Time // lines before it are left out; zero means none is
	Lines int       // how many of the last lines of each container; 0 means all
}

// Show is given a line without its end. Calls for different containers come at the same time.
type Show func(pod, container, line string)

// Tail follows containers until it is closed.
type Tail struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	ended  []func()
}

// key is one life of a container.
type key struct {
	pod       types.UID
	container string
	restarts  int32
}

// Follow shows what the containers of pods write from now on, also of those that are there later: pods is asked again
// whenever changed has a value.
func Follow(ctx context.Context, client kubernetes.Interface, o Options, changed <-chan struct{}, pods func() []*corev1.Pod, show Show) *Tail {
	ctx, cancel := context.WithCancel(ctx)
	t := &Tail{cancel: cancel}
	t.wait.Go(func() {
		known := map[key]bool{}
		for {
			now := map[key]bool{}
			for _, pod := range pods() {
				for _, c := range started(pod) {
					now[c] = true
					if !known[c] {
						t.wait.Go(func() { follow(ctx, client, pod.Namespace, pod.Name, c.container, o, show) })
					}
				}
			}
			known = now
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	})
	return t
}

// AtEnd has a function called by Close, last.
func (t *Tail) AtEnd(f func()) { t.ended = append(t.ended, f) }

// Close ends it, and returns when no line will be shown any more.
func (t *Tail) Close() {
	t.cancel()
	t.wait.Wait()
	for _, f := range t.ended {
		f()
	}
}

// started are the containers of a pod that run or have run.
func started(pod *corev1.Pod) []key {
	var found []key
	for _, list := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, c := range list {
			if c.State.Running != nil || c.State.Terminated != nil {
				found = append(found, key{pod.UID, c.Name, c.RestartCount})
			}
		}
	}
	return found
}

// A stream that ends although its container may go on is opened again: the API server or the kubelet was away.
const (
	reopenPause = 500 * time.Millisecond
	reopenTries = 60
)

// follow shows a container's lines until it has ended, or ctx has.
func follow(ctx context.Context, client kubernetes.Interface, namespace, pod, container string, o Options, show Show) {
	position := &position{after: o.Since}
	for range reopenTries {
		err := stream(ctx, client, namespace, pod, &corev1.PodLogOptions{Container: container, Follow: true}, o.Lines, position, func(line string) { show(pod, container, line) })
		if err == nil || ctx.Err() != nil || isGone(ctx, client, namespace, pod) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(reopenPause):
		}
	}
}

// isGone says whether a pod is known to exist no more.
func isGone(ctx context.Context, client kubernetes.Interface, namespace, pod string) bool {
	_, err := client.CoreV1().Pods(namespace).Get(ctx, pod, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// Print shows what a container has written until now, or, with previous, what the one before it had written.
func Print(ctx context.Context, client kubernetes.Interface, namespace, pod, container string, previous bool, o Options, show func(line string)) error {
	return stream(ctx, client, namespace, pod, &corev1.PodLogOptions{Container: container, Previous: previous}, o.Lines, &position{after: o.Since}, show)
}

// position is how far a log has been read.
type position struct {
	after time.Time // of the last line that was shown, or the time before which none is wanted
	read  bool      // whether a line was shown
}

// stream shows the lines after a position, and moves it.
func stream(ctx context.Context, client kubernetes.Interface, namespace, pod string, o *corev1.PodLogOptions, lines int, at *position, show func(string)) error {
	o.Timestamps = true
	if !at.after.IsZero() {
		since := metav1.NewTime(at.after)
		o.SinceTime = &since // to the second, so the lines' own times decide below
	}
	if lines > 0 && !at.read {
		last := int64(lines)
		o.TailLines = &last
	}
	body, err := client.CoreV1().Pods(namespace).GetLogs(pod, o).Stream(ctx)
	if err != nil {
		return fmt.Errorf("reading the log of pod %s: %w", pod, err)
	}
	defer body.Close()
	reader := bufio.NewReader(body)
	for {
		line, err := readLine(reader)
		if line != "" {
			stamp, text, _ := strings.Cut(line, " ")
			when, wrong := time.Parse(time.RFC3339Nano, stamp)
			switch {
			case wrong != nil && ofKubelet(line):
				return fmt.Errorf("reading the log of pod %s: %s", pod, line)
			case wrong != nil:
				show(line)
			case when.After(at.after):
				at.after, at.read = when, true
				show(text)
			}
		}
		if err == io.EOF { //nolint:errorlint // bufio's own
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the log of pod %s: %w", pod, err)
		}
	}
}

// ofKubelet says whether a line without a time is what the kubelet writes in place of a log: that it has none, or not
// yet, or what the runtime answered when it asked for a container that is gone.
func ofKubelet(line string) bool {
	return strings.HasPrefix(line, "unable to retrieve container logs for") || strings.HasPrefix(line, "rpc error: code = ")
}

// longestLine is where a line is cut, since a program may write without ever ending one.
const longestLine = 16 << 10

func readLine(reader *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := reader.ReadSlice('\n')
		if len(line) < longestLine {
			line = append(line, part[:min(len(part), longestLine-len(line))]...)
		}
		if err != bufio.ErrBufferFull { //nolint:errorlint // bufio's own
			return strings.TrimRight(string(line), "\r\n"), err
		}
	}
}
