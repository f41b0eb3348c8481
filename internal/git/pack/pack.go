// Package pack takes in packs, git's form in which objects travel, from whoever sends them, a stranger included. A pack
// of a few kilobytes can hold gigabytes, so Store counts what a pack unpacks to before it unpacks it, and refuses it when
// that is too much. What it needs of memory does not depend on how large the objects are: what does not fit waits on the
// disk. Open reads what Store has stored with as little.
package pack

import (
	"errors"
	"fmt"

	"github.com/docker/go-units"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// LargeObject is from which size on, in bytes, an object is not held in memory to be read.
	LargeObject = 1 << 20
	// maxListing is how many bytes a commit, a tree or a tag may have: to be understood these are read into memory. A
	// folder with 200,000 files has about 8 MiB.
	maxListing = 16 << 20
	// maxChain is how many differences an object may be made of one after the other; git's own limit.
	maxChain = 4095
)

// Limits bound what a pack may bring. Each must be set.
type Limits struct {
	// Packed is how many bytes it may have as it is sent.
	Packed int64
	// Unpacked is how many bytes its objects may have together, and the differences of which they are made.
	Unpacked int64
	// Objects is how many it may hold.
	Objects int64
}

// Of is one of the limits. That of Listings is the same for all.
func (l Limits) Of(measure Measure) int64 {
	switch measure {
	case Packed:
		return l.Packed
	case Unpacked:
		return l.Unpacked
	case Objects:
		return l.Objects
	}
	return maxListing
}

// Measure is what a limit is of.
type Measure int

// The measures that have limits.
const (
	Packed   Measure = iota // bytes, as sent
	Unpacked                // bytes of all objects
	Objects                 // their number
	Listings                // bytes of the largest folder, commit or tag
)

// LimitError says which limit a pack is over.
type LimitError struct {
	Of    Measure
	Limit int64 // how much there may be
}

// Said is what the pack has too much of: "more than 64 MiB, compressed".
func (e *LimitError) Said() string {
	size := units.CustomSize("%.4g %s", float64(e.Limit), 1024, []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
	switch e.Of {
	case Packed:
		return "more than " + size + ", compressed"
	case Unpacked:
		return "files and folders of more than " + size + ", unpacked"
	case Objects:
		return fmt.Sprintf("more than %d files, folders and commits", e.Limit)
	}
	return "a folder, a commit or a tag of more than " + size
}

// Error begins with git's words for receive.maxInputSize.
func (e *LimitError) Error() string {
	return "pack exceeds maximum allowed size: it has " + e.Said()
}

// errDamaged is in the error of a pack that does not have the form of one.
var errDamaged = errors.New("the pack is damaged")

func damaged(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, arguments...))
}

// Stored tells of a pack that was stored.
type Stored struct {
	// Name is its checksum; zero when the pack held no objects, and nothing was stored.
	Name plumbing.Hash
	// Objects is how many it holds.
	Objects int
	// Packed and Unpacked are what was counted against the limits of these names, in bytes.
	Packed, Unpacked int64
}
