package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ChainError is something wrong in the cluster: a stage of the chain, or a pod.
type ChainError struct {
	Stage   string // the resource of the supply chain, or "chain", "apply" or "pod"
	Message string
	Log     string // the last lines of the program that ended; often ""
}

// logFollows stands between a message and a log.
const logFollows = "; its last lines:"

// Error is the message, and below it the log.
func (e *ChainError) Error() string {
	text := e.Message
	if e.Stage != "pod" && e.Stage != "apply" && e.Stage != "chain" {
		text = "stage " + e.Stage + ": " + text
	}
	if e.Log != "" {
		text += logFollows + "\n" + e.Log
	}
	return text
}

// quietLimit is how long a run hears nothing before it asks the API server whether it is still there, which must answer
// within probeLimit.
const (
	quietLimit = 5 * time.Second
	probeLimit = 3 * time.Second
)

// chase follows the cluster until the target is reached. show is told of every state. It ends with a *ChainError, or
// when ctx does, saying what it last saw. An API server that does not answer is waited for.
func (a *app) chase(ctx context.Context, o *observer, t target, show func(state)) (state, error) {
	changed, unsubscribe := o.subscribe()
	defer unsubscribe()
	if err := o.sync(ctx); err != nil {
		return state{}, err
	}
	patience, probes := patience{}, newProbes(a.typed)
	defer probes.stop()
	for {
		now, err := o.see()
		if err == nil {
			o.followDelivery(now.workload)
			err = o.digest(ctx, now)
		}
		if err != nil {
			return state{}, err
		}
		since, news, _ := a.reach.away()
		st := assess(t, now)
		probes.hasten(ctx, st.unprobed)
		if st.done {
			current, err := a.upToDate(ctx, st)
			switch {
			case err != nil && (!transient(err) || ctx.Err() != nil):
				return st, err
			case current:
				show(st)
				return st, nil
			}
			st.done, st.waiting = false, "for the cluster to tell of the Deployment's change"
		}
		if !since.IsZero() {
			// What is known may be old, and a problem may have gone.
			st.problem = nil
			st.waiting = "for the cluster to answer, since " + time.Since(since).Round(time.Second).String()
		}
		show(st)
		left := patience.left(st.problem, time.Now())
		if left == 0 {
			return st, a.chainError(ctx, st.problem)
		}
		quiet := time.After(quietLimit)
		var again <-chan time.Time
		if left > 0 {
			again = time.After(left)
		}
		select {
		case <-changed:
		case <-again:
		case <-news:
		case <-quiet:
			a.probe(ctx)
		case <-ctx.Done():
			return st, fmt.Errorf("waiting %s: %w", st.waiting, context.Cause(ctx))
		}
	}
}

// probe finds out whether the API server answers: one that hangs makes no watch fail.
func (a *app) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, errNoAnswer)
	defer cancel()
	_ = a.typed.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() // reach has heard what came of it
}

// upToDate guards against a watch that is behind: it asks for the Deployment that was found complete.
func (a *app) upToDate(ctx context.Context, st state) (bool, error) {
	if st.rolled == nil {
		return true, nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, errNoAnswer)
	defer cancel()
	now, err := a.typed.AppsV1().Deployments(st.rolled.Namespace).Get(ctx, st.rolled.Name, metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("reading deployment %s: %w", st.rolled.Name, err)
	}
	return now.Generation == st.rolled.Generation && now.UID == st.rolled.UID, nil
}

// patience knows since when a problem has lasted.
type patience struct {
	message string
	since   time.Time
}

// left is how much longer a problem may last: 0 means that it counts now, less than 0 that there is none.
func (p *patience) left(found *problem, now time.Time) time.Duration {
	if found == nil {
		p.message = ""
		return -1
	}
	if p.message != found.message {
		p.message, p.since = found.message, now
	}
	return max(0, found.grace-now.Sub(p.since))
}

// logLines is how much of a crashed program's log is shown.
const logLines = 20

func (a *app) chainError(ctx context.Context, p *problem) error {
	failed := &ChainError{Stage: p.stage, Message: p.message}
	if p.crashed.pod != nil {
		lines, err := lastLines(ctx, a.typed, p.crashed)
		if err != nil {
			lines = "(reading them: " + err.Error() + ")"
		}
		failed.Log = lines
	}
	return failed
}

// lastLines reads the end of a container's log, each line with a little space in front. The log of a container that is
// being started again may be gone already: then the one before it, or after, is as good.
func lastLines(ctx context.Context, client kubernetes.Interface, c crashed) (string, error) {
	var problems []error
	for _, previous := range []bool{c.previous, !c.previous} {
		text, err := readLog(ctx, client, c, previous)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if text = strings.TrimRight(text, "\n"); text != "" {
			return "  " + strings.ReplaceAll(text, "\n", "\n  "), nil
		}
	}
	if len(problems) == 2 {
		return "", errors.Join(problems...)
	}
	return "  (it wrote nothing)", nil
}

func readLog(ctx context.Context, client kubernetes.Interface, c crashed, previous bool) (string, error) {
	lines := int64(logLines)
	stream, err := client.CoreV1().Pods(c.pod.Namespace).GetLogs(c.pod.Name,
		&corev1.PodLogOptions{Container: c.container, TailLines: &lines, Previous: previous}).Stream(ctx)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, 1<<20))
	return string(text), err
}
