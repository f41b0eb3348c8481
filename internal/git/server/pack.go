package server

import (
	"compress/zlib"
	"crypto/sha1" //nolint:gosec // git's format has it
	"encoding/binary"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// writePack writes the objects as a pack (gitformat-pack, version 2), one after the other and whole: that takes no memory
// whatever the repository's size, and the deltas that it does without save a network that is not there.
func writePack(to io.Writer, store storer.EncodedObjectStorer, ids []plumbing.Hash) error {
	sum := sha1.New() //nolint:gosec // git's format has it
	out := io.MultiWriter(to, sum)
	header := binary.BigEndian.AppendUint32([]byte("PACK"), 2)
	header = binary.BigEndian.AppendUint32(header, uint32(len(ids))) //nolint:gosec // far below
	if _, err := out.Write(header); err != nil {
		return err
	}
	compressor, err := zlib.NewWriterLevel(out, zlib.BestSpeed)
	if err != nil {
		return err
	}
	for _, id := range ids {
		found, err := store.EncodedObject(plumbing.AnyObject, id)
		if err != nil {
			return fmt.Errorf("object %s: %w", id, err)
		}
		if _, err := out.Write(entryHeader(found.Type(), found.Size())); err != nil {
			return err
		}
		compressor.Reset(out)
		if err := copyObject(compressor, found); err != nil {
			return fmt.Errorf("object %s: %w", id, err)
		}
		if err := compressor.Close(); err != nil {
			return err
		}
	}
	_, err = to.Write(sum.Sum(nil))
	return err
}

func copyObject(to io.Writer, found plumbing.EncodedObject) error {
	content, err := found.Reader()
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(to, content)
	return err
}

// entryHeader is an object's type and size: four bits of the size beside the type, then seven a byte.
func entryHeader(kind plumbing.ObjectType, size int64) []byte {
	header := []byte{byte(kind)<<4 | byte(size&0x0f)}
	for size >>= 4; size > 0; size >>= 7 {
		header[len(header)-1] |= 0x80
		header = append(header, byte(size&0x7f))
	}
	return header
}
