package ui

// keyboard reads single keys from a terminal that otherwise works as before: Ctrl-C and Ctrl-Z mean what they always
// do.
type keyboard struct {
	pressed chan Key
	restore func() // gives the terminal back; may be called twice
	end     func() // ends the reading, and waits until it has ended
}

func newKeyboard() *keyboard { return &keyboard{pressed: make(chan Key, 8)} }

// take passes on what means something. A key that nobody has taken yet is enough of its kind.
func (k *keyboard) take(bytes []byte) {
	for _, b := range bytes {
		switch key := Key(b | 0x20); key { // letters, whatever the shift key says
		case KeyRebuild, KeyLogs, KeyOpen, KeyQuit:
			select {
			case k.pressed <- key:
			default:
			}
		}
	}
}

func (k *keyboard) close() {
	k.end()
	k.restore()
}
