package dev

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// once is the run of CI: each app one time, all at the same time.
func (s *session) once(ctx context.Context) error {
	var (
		wait    sync.WaitGroup
		reports = make([]Report, len(s.apps))
		errs    = make([]error, len(s.apps))
	)
	for i, a := range s.apps {
		wait.Go(func() {
			defer s.crashed()
			a.view.Run(1, nil, "")
			reports[i], errs[i] = a.run(ctx, 1, nil)
			errs[i] = explain(errs[i])
			switch {
			case errs[i] == nil:
				a.showAddresses(reports[i])
				a.view.RunEnded(string(Passed), "")
			case ctx.Err() != nil || len(s.apps) == 1: // the caller shows it
				a.view.RunEnded(string(Superseded), "")
			default:
				a.view.RunEnded(string(Failed), describe(errs[i], 0))
			}
		})
	}
	wait.Wait()
	err := s.outcome(errs)
	for i, a := range s.apps {
		if reportErr := s.keep(a, reports[i]); reportErr != nil && err == nil {
			err = reportErr
		}
	}
	if err == nil {
		for _, report := range reports {
			if report.URL != "" {
				fmt.Fprintln(s.Out, report.URL)
			}
		}
		return nil
	}
	s.diagnose(ctx)
	return err
}

// outcome is one error for all: the only app's own, or which of several failed, since what was wrong with each has been
// shown.
func (s *session) outcome(errs []error) error {
	var failed []string
	for i, err := range errs {
		if err == nil {
			continue
		}
		if len(errs) == 1 {
			return err
		}
		failed = append(failed, s.apps[i].name)
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d apps did not become ready: %s", len(failed), len(errs), strings.Join(failed, ", "))
}

// diagnose gathers what may explain a failure, unless the user has ended it.
func (s *session) diagnose(ctx context.Context) {
	if ctx.Err() != nil || s.Diagnose == nil {
		return
	}
	folder, err := s.Diagnose(ctx)
	if err != nil {
		s.Screen.Warn("diagnosing: %v", err)
		return
	}
	s.Screen.Say("Logs, events and objects: %s", folder)
}
