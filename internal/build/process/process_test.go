package process_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway.dev/slipway/internal/build/process"
)

func TestOutput(t *testing.T) {
	var lines []string
	o := &process.Output{Line: func(line string) { lines = append(lines, line) }}
	for _, part := range []string{"one\ntw", "o\r\n\n", "10%\r20%\r", "last"} {
		if _, err := o.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if text := o.Text(); !strings.HasSuffix(text, "last") || !strings.HasPrefix(text, "one\n") {
		t.Errorf("kept %q", text)
	}
	if diff := cmp.Diff([]string{"one", "two", "10%", "20%", "last"}, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	o := &process.Output{}
	for i := range 100_000 {
		if _, err := fmt.Fprintf(o, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if text := o.Text(); len(text) > 64<<10 || !strings.HasSuffix(text, "line 99999") {
		t.Errorf("kept %d bytes", len(text))
	}
}
