//go:build !windows

package ui

import "os"

// understandsEscapes says whether a terminal obeys ANSI escape sequences; TERM=dumb is checked elsewhere.
func understandsEscapes(*os.File) bool { return true }
