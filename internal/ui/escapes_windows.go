package ui

import (
	"os"

	"golang.org/x/sys/windows"
)

// understandsEscapes turns on ANSI escape sequences, which consoles before Windows Terminal leave off, and says
// whether that worked.
func understandsEscapes(console *os.File) bool {
	handle := windows.Handle(console.Fd())
	var mode uint32
	if windows.GetConsoleMode(handle, &mode) != nil {
		return false
	}
	return windows.SetConsoleMode(handle, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
