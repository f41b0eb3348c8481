package dev

import (
	"context"
	"errors"
	"sync"
	"time"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/dev/fastlane"
	"slipway.dev/slipway/internal/ui"
)

// record shows a run's steps as they happen and remembers them for the report.
type record struct {
	progress ui.Progress
	report   Report
	steps    []*step
}

func newRecord(progress ui.Progress, number int, files []string) *record {
	return &record{progress: progress, report: Report{Run: number, Cause: files, Started: time.Now().UTC()}}
}

// step is one thing that a run does. It ends once; what is said later is not heard.
type step struct {
	ctx  context.Context //nolint:containedctx // of the run, to tell a failure from an end
	task ui.Task

	mutex  sync.Mutex
	result StageReport
	began  time.Time
	ended  bool
}

func (r *record) start(ctx context.Context, name, title string) *step {
	return r.startAt(ctx, time.Now(), name, title)
}

// startAt starts a step that has been under way for a while, unseen.
func (r *record) startAt(ctx context.Context, began time.Time, name, title string) *step {
	s := &step{ctx: ctx, task: r.progress.Start(name, title), result: StageReport{Name: name, Title: title}, began: began}
	r.steps = append(r.steps, s)
	return s
}

func (s *step) update(detail string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended || detail == "" {
		return
	}
	s.result.Detail = detail
	s.task.Update("%s", detail)
}

func (s *step) skip(detail string) {
	if s.end(Skipped, detail) {
		s.task.Skip(detail)
	}
}

func (s *step) done(detail string) {
	if s.end(Passed, detail) {
		s.task.Done(detail)
	}
}

// fail ends the step with an error, in one line on the screen and whole in the report, and returns it. That the run
// itself was ended is no failure of the step.
func (s *step) fail(err error) error {
	if errors.Is(context.Cause(s.ctx), errSuperseded) || errors.Is(s.ctx.Err(), context.Canceled) {
		if s.end(Superseded, "") {
			s.task.Skip(context.Cause(s.ctx).Error())
		}
		return err
	}
	if s.end(Failed, err.Error()) {
		s.task.Fail(inOneLine(err))
	}
	return err
}

func (s *step) end(status Status, detail string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.ended {
		return false
	}
	s.ended = true
	s.result.Status, s.result.Detail, s.result.Seconds = status, detail, seconds(time.Since(s.began))
	return true
}

// inOneLine leaves out a log or a compiler's output, which are shown below.
func inOneLine(err error) error {
	if wrong := (*build.SourceError)(nil); errors.As(err, &wrong) {
		return errors.New(wrong.Summary())
	}
	if failed := (*ChainError)(nil); errors.As(err, &failed) {
		return errors.New(failed.Message)
	}
	if crash := (*fastlane.CrashError)(nil); errors.As(err, &crash) {
		return errors.New(crash.Summary())
	}
	return err
}

// failWhere ends the step that an error speaks of as failed, and leaves out those that were only waiting.
func (r *record) failWhere(ctx context.Context, err error) {
	where := ""
	if failed := (*ChainError)(nil); errors.As(err, &failed) {
		where = failed.Stage
	}
	var found *step
	for _, s := range r.steps {
		if !s.ended && (s.result.Name == where || where == "") {
			found = s
			break
		}
	}
	if found == nil {
		if where == "" {
			where = "chain"
		}
		found = r.start(ctx, where, where)
	}
	_ = found.fail(err)
	for _, s := range r.steps {
		if s.end(Skipped, s.result.Detail) {
			s.task.Skip("not reached")
		}
	}
}

// finish makes the report.
func (r *record) finish(err error) Report {
	out := r.report
	out.Seconds, out.Status = seconds(time.Since(out.Started)), Passed
	if err != nil {
		out.Status, out.Error = Failed, err.Error()
		if errors.Is(err, errSuperseded) || errors.Is(err, context.Canceled) {
			out.Status = Superseded
		}
	}
	for _, s := range r.steps {
		out.Stages = append(out.Stages, s.result)
	}
	if err != nil && len(out.Stages) == 0 {
		out.Stages = append(out.Stages, StageReport{Name: "prepare", Title: "Workload", Status: out.Status, Detail: err.Error(), Seconds: out.Seconds})
	}
	return out
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
