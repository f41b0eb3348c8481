// Package condition makes the messages of conditions: short enough for the API server, and the same for each attempt that
// ends alike, since a status is written whenever its message changes, and each such write is a reason to try again at once.
package condition

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxMessage is how many bytes of a message are shown.
const maxMessage = 4096

// Message keeps a message readable, cut between two characters. A status with one of more than 32768 bytes would be
// refused by the API server.
func Message(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	return strings.ToValidUTF8(text[:maxMessage], "") + " ..."
}

// ofDevice are the errors of a disk, whatever was to be done there.
var ofDevice = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS}

// Scratch says what is wrong with the folder in which the controller works for a moment: for an error of a file in
// os.TempDir() or of that itself, and any of a disk. The folder's name is not in it, which is another each time. For other errors it
// returns "".
func Scratch(err error) string {
	var path string
	var cause error
	if of, is := errors.AsType[*fs.PathError](err); is {
		path, cause = of.Path, of.Err
	} else if of, is := errors.AsType[*os.LinkError](err); is {
		path, cause = of.New, of.Err
	} else {
		return ""
	}
	folder := filepath.Clean(os.TempDir())
	local := path == folder || strings.HasPrefix(path, folder+string(filepath.Separator))
	for _, broken := range ofDevice {
		local = local || errors.Is(cause, broken)
	}
	if !local {
		return ""
	}
	return "The controller's scratch folder: " + cause.Error() + ". It is tried again by itself."
}
