package direct

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// errNoExport says that an archive is not what the compiler writes today.
var errNoExport = errors.New("the archive tells nothing of what the package exports")

// exportOf is the sum of what an archive says to those who import the package. The compiler reads nothing else of it, so that
// they need not be compiled again where that is the same. It is the first entry of the archive (see the package
// cmd/internal/archive), less its own head, in which there are versions and IDs.
func exportOf(archive string) (sum, error) {
	file, err := os.Open(archive)
	if err != nil {
		return sum{}, err
	}
	defer file.Close()
	const magic, nameLength, sizeAt, sizeEnd, headLength = "!<arch>\n", 16, 48, 58, 60
	head := make([]byte, len(magic)+headLength)
	if _, err := io.ReadFull(file, head); err != nil {
		return sum{}, fmt.Errorf("%w: %w", errNoExport, err)
	}
	entry := head[len(magic):]
	size, err := strconv.ParseInt(strings.TrimSpace(string(entry[sizeAt:sizeEnd])), 10, 64)
	if !bytes.HasPrefix(head, []byte(magic)) || strings.TrimSpace(string(entry[:nameLength])) != "__.PKGDEF" || err != nil {
		return sum{}, errNoExport
	}
	content, err := io.ReadAll(io.LimitReader(file, size))
	if err != nil {
		return sum{}, fmt.Errorf("%w: %w", errNoExport, err)
	}
	_, exported, found := bytes.Cut(content, []byte("\n$$B\n"))
	if !found || int64(len(content)) != size {
		return sum{}, errNoExport
	}
	return sha256.Sum256(exported), nil
}
