// Package ui is the only writer to the terminal. It shows progress (a person's view of what is going on: lines
// with elapsed time, a spinner on a terminal, JSON objects for programs) and knows whether colour is wanted.
// Logs for maintainers are not its business, and results go to standard output through Streams.Out.
package ui

import "time"

// Progress shows what a command is doing. All methods may be called from several goroutines at once.
type Progress interface {
	// Start begins a task, shown until its Done, Skip or Fail is called. id is a stable, lower-case identifier for programs
	// ("registry"); title is for people ("Registry on localhost:5000").
	Start(id, title string) Task
	// Say prints one line that belongs to no task.
	Say(format string, arguments ...any)
	// Warn prints one line that the user should read although the command goes on.
	Warn(format string, arguments ...any)
}

// Task is one thing that is under way. Exactly one of Done, Skip and Fail ends it; later calls are ignored.
type Task interface {
	// Update says how far the task is, or what it is waiting for. On a pipe it is only printed when it changed and
	// the task has been running for a while, so it may be called often.
	Update(format string, arguments ...any)
	// Done ends the task; detail may be empty.
	Done(detail string)
	// Skip ends a task that had nothing to do; detail says why, and may be empty.
	Skip(detail string)
	// Fail ends the task with the error that stopped it.
	Fail(err error)
}

// Event is one line of `--progress json`: an object with the fields below, in this order. docs/progress.md describes
// them for users.
type Event struct {
	Time time.Time `json:"time"` // when it happened, RFC 3339 with fractions, UTC
	// Type is start, update, done, skip or fail of a task; message or warning; and of `dev` also run, passed, failed or
	// superseded of a run, watching, log and addresses.
	Type string `json:"type"`
	App  string `json:"app,omitempty"` // the workload's name, with `dev`; absent for what belongs to no app
	Run  int    `json:"run,omitempty"` // the run's number, from 1, with `dev`
	ID   string `json:"id,omitempty"`  // the task's identifier; absent for messages

	Title     string    `json:"title,omitempty"`     // the task's title
	Detail    string    `json:"detail,omitempty"`    // how far, what was made, why not; the line of a log
	Seconds   float64   `json:"seconds,omitempty"`   // how long the task or the run took
	Cause     []string  `json:"cause,omitempty"`     // the files that were saved; with run
	Pod       string    `json:"pod,omitempty"`       // whose line it is; with log
	Container string    `json:"container,omitempty"` // and of which of its containers
	Addresses []Address `json:"addresses,omitempty"` // where the app answers; with addresses
}
