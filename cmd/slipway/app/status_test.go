package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slipway.dev/slipway/bootstrap"
	"slipway.dev/slipway/cmd/slipway/app"
)

// Each case is a Status as JSON and what is printed of it, on a terminal of 80 columns without colour.
func TestStatus(t *testing.T) {
	files, err := filepath.Glob("testdata/status/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var status bootstrap.Status
			if err := json.Unmarshal(archive.Files[0].Data, &status); err != nil {
				t.Fatal(err)
			}
			d, out, errOut, _ := testDeps(t)
			d.Streams.OutIsTerminal, d.Streams.Columns, d.Streams.NoColor = true, 80, true
			d.Status = func(context.Context, bootstrap.StatusOptions) (*bootstrap.Status, error) { return &status, nil }
			wantCode := app.ExitFailed
			if status.Ready {
				wantCode = app.ExitFine
			}
			if code := app.RunWith(t.Context(), d, []string{"status"}); code != wantCode {
				t.Errorf("exit code %d, want %d", code, wantCode)
			}
			if *update {
				archive.Files[1].Data = out.Bytes()
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(archive.Files[1].Data), out.String()); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if errOut.Len() > 0 {
				t.Errorf("stderr = %q, want nothing", errOut)
			}
		})
	}
}

func TestStatusForPrograms(t *testing.T) {
	for format, want := range map[string]string{"json": "\"ready\": false", "yaml": "ready: false"} {
		d, out, _, _ := testDeps(t)
		d.Status = func(context.Context, bootstrap.StatusOptions) (*bootstrap.Status, error) {
			return &bootstrap.Status{}, nil
		}
		if code := app.RunWith(t.Context(), d, []string{"status", "-o", format}); code != app.ExitFailed {
			t.Errorf("%s: exit code %d, want %d", format, code, app.ExitFailed)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: stdout = %q, want %q in it", format, out, want)
		}
	}
}

func TestStatusWithoutEnvironment(t *testing.T) {
	d, out, errOut, _ := testDeps(t)
	d.Status = func(context.Context, bootstrap.StatusOptions) (*bootstrap.Status, error) {
		return nil, errors.Join(bootstrap.ErrNoEnvironment)
	}
	if code := app.RunWith(t.Context(), d, []string{"status"}); code != app.ExitFailed {
		t.Errorf("exit code %d, want %d", code, app.ExitFailed)
	}
	if out.Len() > 0 || !strings.HasPrefix(errOut.String(), "Error: no such environment") {
		t.Errorf("stdout = %q, stderr = %q", out, errOut)
	}
}
