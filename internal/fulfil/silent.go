package fulfil

import "slipway.dev/slipway/internal/ui"

// silent is a Progress of which nothing is shown.
type silent struct{}

var (
	_ ui.Progress = silent{}
	_ ui.Task     = silent{}
)

func (silent) Start(string, string) ui.Task { return silent{} }
func (silent) Say(string, ...any)           {}
func (silent) Warn(string, ...any)          {}
func (silent) Update(string, ...any)        {}
func (silent) Done(string)                  {}
func (silent) Skip(string)                  {}
func (silent) Fail(error)                   {}
