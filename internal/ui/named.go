package ui

import "fmt"

// Named returns a Progress whose tasks and lines carry a name in front, for one of several things that are shown in the
// same place: the id "build" becomes "hello/build", and a line begins with "hello: ".
func Named(inner Progress, name string) Progress { return &named{inner: inner, name: name} }

type named struct {
	inner Progress
	name  string
}

func (n *named) Start(id, title string) Task { return n.inner.Start(n.name+"/"+id, n.name+": "+title) }

func (n *named) Say(format string, arguments ...any) {
	n.inner.Say("%s: %s", n.name, fmt.Sprintf(format, arguments...))
}

func (n *named) Warn(format string, arguments ...any) {
	n.inner.Warn("%s: %s", n.name, fmt.Sprintf(format, arguments...))
}
