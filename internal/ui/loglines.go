package ui

import (
	"fmt"
	"sync"
)

// LogLines prints the lines of pods as a result, each with its pod in front, in the pod's colour.
type LogLines struct {
	streams *Streams
	app     string
	mutex   sync.Mutex
}

// NewLogLines returns LogLines for the pods of an app.
func NewLogLines(streams *Streams, app string) *LogLines {
	return &LogLines{streams: streams, app: app}
}

// Show prints a line. It may be called from several goroutines at once. An output that cannot be written has nobody to be
// told.
func (l *LogLines) Show(pod, _, line string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	_, _ = fmt.Fprintf(l.streams.Out, "%s %s\n", paint(l.streams.ColorOut(), colorOf(pod), shortPod(l.app, pod)+" │"), harmless(line))
}
