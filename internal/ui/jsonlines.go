package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// jsonInterval is how often updates are told: a download's progress may change a thousand times a second.
const jsonInterval = 500 * time.Millisecond

// jsonLines writes an Event per line.
type jsonLines struct{ out io.Writer }

var _ renderer = (*jsonLines)(nil)

func (j *jsonLines) started(t *task) {
	j.write(Event{Type: "start", ID: t.id, Title: t.title})
}

func (j *jsonLines) ended(t *task, _ []*task) {
	j.write(Event{Type: t.outcome, ID: t.id, Title: t.title, Detail: t.detail, Seconds: seconds(t.elapsed())})
}

func (j *jsonLines) said(typ, text string, _ []*task) { j.write(Event{Type: typ, Detail: text}) }

func (j *jsonLines) tick(running []*task) {
	for _, t := range running {
		if t.detail != t.shown {
			t.shown = t.detail
			j.write(Event{Type: "update", ID: t.id, Title: t.title, Detail: t.detail})
		}
	}
}

func (j *jsonLines) closed() {}

func (j *jsonLines) write(e Event) {
	e.Time = time.Now().UTC()
	_ = writeLine(j.out, e)
}

// seconds is a duration to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// Result is the last line of `--progress json` of a command that has a result.
type Result struct {
	Time   time.Time `json:"time"`
	Type   string    `json:"type"` // result
	Result any       `json:"result"`
}

// PrintResult writes the last line of `--progress json`; the Display must be closed.
func PrintResult(streams *Streams, result any) error {
	if err := writeLine(streams.Out, Result{Time: time.Now().UTC(), Type: "result", Result: result}); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// writeLine writes value as one line of JSON, in one write.
func writeLine(out io.Writer, value any) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = out.Write(append(line, '\n'))
	return err
}
