package ui

// NewScreen is a live Session that offers keys although there is no terminal to read them from.
func NewScreen(streams *Streams) Session {
	view := newScreen(streams)
	view.keys = true
	return openSession(view, frameInterval)
}
