package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/ui"
)

type silent struct{}

func (silent) Start(string, string) ui.Task { return silent{} }
func (silent) Say(string, ...any)           {}
func (silent) Warn(string, ...any)          {}
func (silent) Update(string, ...any)        {}
func (silent) Done(string)                  {}
func (silent) Skip(string)                  {}
func (silent) Fail(error)                   {}

func TestRunStepsKeepsTheOrderOfNeeds(t *testing.T) {
	var mutex sync.Mutex
	var ran []string
	record := func(id string, changed bool) func(context.Context, ui.Task) (outcome, error) {
		return func(context.Context, ui.Task) (outcome, error) {
			mutex.Lock()
			defer mutex.Unlock()
			ran = append(ran, id)
			return outcome{changed: changed}, nil
		}
	}
	changed, err := runSteps(t.Context(), []step{
		{id: "last", needs: []string{"left", "right"}, run: record("last", false)},
		{id: "left", needs: []string{"first"}, run: record("left", true)},
		{id: "right", needs: []string{"first"}, run: record("right", false)},
		{id: "first", run: record("first", false)},
	}, silent{})
	if err != nil || !changed {
		t.Fatalf("runSteps() = %v, %v, want true, nil", changed, err)
	}
	if len(ran) != 4 || ran[0] != "first" || ran[3] != "last" {
		t.Errorf("ran %q, want first ... last", ran)
	}
}

func TestRunStepsStopsAtTheFirstFailure(t *testing.T) {
	broken := errors.New("it broke")
	var ran []string
	_, err := runSteps(t.Context(), []step{
		{id: "breaks", title: "Breaking", run: func(context.Context, ui.Task) (outcome, error) { return outcome{}, broken }},
		{id: "waits", title: "Waiting", run: func(ctx context.Context, _ ui.Task) (outcome, error) {
			<-ctx.Done()
			return outcome{}, ctx.Err()
		}},
		{id: "never", needs: []string{"breaks"}, run: func(context.Context, ui.Task) (outcome, error) {
			ran = append(ran, "never")
			return outcome{}, nil
		}},
	}, silent{})
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "Breaking: ") {
		t.Errorf("error = %v, want that of the step Breaking", err)
	}
	if len(ran) != 0 {
		t.Errorf("ran %q after the failure", ran)
	}
}

func TestRunStepsEndsWhenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := runSteps(ctx, []step{
		{id: "a", title: "A", run: func(context.Context, ui.Task) (outcome, error) {
			cancel()
			return outcome{changed: true}, nil
		}},
		{id: "b", title: "B", needs: []string{"a"}, run: func(context.Context, ui.Task) (outcome, error) {
			t.Error("a step began after the cancellation")
			return outcome{}, nil
		}},
	}, silent{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
}

// failures notes how steps fail on the screen.
type failures struct {
	silent

	mutex sync.Mutex
	said  map[string]string
}

func (f *failures) Start(id, _ string) ui.Task { return failing{f: f, id: id} }

type failing struct {
	silent

	f  *failures
	id string
}

func (f failing) Fail(err error) {
	f.f.mutex.Lock()
	defer f.f.mutex.Unlock()
	f.f.said[f.id] = err.Error()
}

func TestStepsThatAreCutShortSayWhy(t *testing.T) {
	silence := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silence.Close()
	tests := []struct {
		name  string
		first func(cancel func()) error // what the step beside the busy one does
		want  map[string]string
	}{
		{"Ctrl-C", func(cancel func()) error { cancel(); return nil }, map[string]string{"busy": "interrupted"}},
		{"another step fails", func(func()) error { return errors.New("the disk is full") },
			map[string]string{"first": "the disk is full", "busy": "given up, since another step has failed"}},
		{"a request of the step's own is cancelled", func(func()) error { return fmt.Errorf("asking: %w", context.Canceled) },
			map[string]string{"first": "asking: context canceled", "busy": "given up, since another step has failed"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			screen := &failures{said: map[string]string{}}
			began := make(chan struct{})
			_, err := runSteps(ctx, []step{
				{id: "busy", run: func(ctx context.Context, _ ui.Task) (outcome, error) {
					request, err := http.NewRequestWithContext(ctx, http.MethodPut, silence.URL, nil)
					if err != nil {
						return outcome{}, err
					}
					close(began)
					answer, err := http.DefaultClient.Do(request) // which fails with the cause
					if err == nil {
						_ = answer.Body.Close()
					}
					return outcome{}, err
				}},
				{id: "first", run: func(context.Context, ui.Task) (outcome, error) {
					<-began
					return outcome{}, test.first(cancel)
				}},
			}, screen)
			if err == nil {
				t.Error("there is no error")
			}
			if diff := cmp.Diff(test.want, screen.said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRunStepsRefusesAnUnknownNeed(t *testing.T) {
	_, err := runSteps(t.Context(), []step{{id: "a", needs: []string{"b"}}}, silent{})
	if err == nil || !slices.Contains(strings.Fields(err.Error()), `"b",`) {
		t.Errorf("error = %v, want one that names b", err)
	}
}
