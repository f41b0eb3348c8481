package pack

import (
	"bufio"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
)

// none is no entry.
const none int32 = -1

// entry is an object of a pack. There may be hundreds of thousands.
type entry struct {
	offset int64 // in the pack
	size   int64 // unpacked; of a difference, that of the object which is made of it
	hash   plumbing.Hash
	crc    uint32
	header uint8 // bytes before the compressed content
	kind   plumbing.ObjectType
	// child and next are the first difference to this entry, and the next one to the same; none at the end.
	child, next int32
}

// contents are a pack's entries, in its order.
type contents struct {
	limits   Limits
	unpacked int64 // counted so far
	entries  []entry
	// waiting are the differences to an object that is named by its hash, by that hash: the first, and so on by next.
	waiting map[plumbing.Hash]int32
}

// scan reads a pack to its end. Of an object that is too large nothing is unpacked, since its size stands before it; of
// a difference its own instructions are, and the size of what will be made of it stands at their beginning.
func (c *contents) scan(ctx context.Context, in *input) ([]byte, error) {
	head := make([]byte, 12)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, err
	}
	if string(head[:4]) != "PACK" {
		return nil, damaged("it does not begin like one")
	}
	if version := binary.BigEndian.Uint32(head[4:]); version != 2 {
		return nil, damaged("it is of version %d", version)
	}
	count := binary.BigEndian.Uint32(head[8:])
	if int64(count) > c.limits.Objects {
		return nil, &LimitError{Of: Objects, Limit: c.limits.Objects}
	}
	c.waiting = map[plumbing.Hash]int32{}
	inflate := &inflater{}
	for range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.entry(in, inflate); err != nil {
			return nil, err
		}
	}
	return in.finish()
}

// charge counts bytes before they are unpacked.
func (c *contents) charge(size int64) error {
	if size < 0 || size > c.limits.Unpacked-c.unpacked {
		return &LimitError{Of: Unpacked, Limit: c.limits.Unpacked}
	}
	c.unpacked += size
	return nil
}

func (c *contents) entry(in *input, inflate *inflater) error {
	in.beginEntry()
	made := entry{offset: in.offset(), child: none, next: none}
	var err error
	if made.kind, made.size, err = readHeader(in); err != nil {
		return err
	}
	at := int32(len(c.entries)) //nolint:gosec // bounded by Limits.Objects, and by the pack's own 32 bits
	base, named := none, plumbing.ZeroHash
	switch made.kind {
	case plumbing.CommitObject, plumbing.TreeObject, plumbing.TagObject:
		if made.size > maxListing {
			return &LimitError{Of: Listings, Limit: maxListing}
		}
	case plumbing.BlobObject:
	case plumbing.OFSDeltaObject:
		back, err := readBack(in)
		if err != nil {
			return err
		}
		if base = c.find(made.offset - back); base == none {
			return damaged("an object is made of one that is not there")
		}
	case plumbing.REFDeltaObject:
		if _, err := io.ReadFull(in, named[:]); err != nil {
			return err
		}
	default:
		return damaged("an object is of type %d", made.kind)
	}
	made.header = uint8(in.offset() - made.offset) //nolint:gosec // at most 10 + 20
	if err := c.charge(made.size); err != nil {
		return err
	}
	if !made.kind.IsDelta() {
		hasher := plumbing.NewHasher(made.kind, made.size)
		if err := inflate.all(in, made.size, hasher); err != nil {
			return err
		}
		made.hash = hasher.Sum()
	} else {
		begin := &beginning{}
		if err := inflate.all(in, made.size, begin); err != nil {
			return err
		}
		if made.size, err = begin.resultSize(); err != nil {
			return err
		}
		if err := c.charge(made.size); err != nil {
			return err
		}
		if base != none {
			made.next, c.entries[base].child = c.entries[base].child, at
		} else {
			if first, others := c.waiting[named]; others {
				made.next = first
			}
			c.waiting[named] = at
		}
	}
	in.count()
	made.crc = in.crc.Sum32()
	c.entries = append(c.entries, made)
	return nil
}

// find returns the entry at an offset.
func (c *contents) find(offset int64) int32 {
	low, high := 0, len(c.entries)
	for low < high {
		middle := (low + high) / 2
		switch found := c.entries[middle].offset; {
		case found == offset:
			return int32(middle) //nolint:gosec // as above
		case found < offset:
			low = middle + 1
		default:
			high = middle
		}
	}
	return none
}

// readHeader reads an object's type and size: four bits of the size beside the type, then seven a byte.
func readHeader(in io.ByteReader) (plumbing.ObjectType, int64, error) {
	first, err := in.ReadByte()
	if err != nil {
		return 0, 0, err
	}
	kind, size := plumbing.ObjectType(first>>4&7), int64(first&0x0f)
	for shift, more := 4, first&0x80 != 0; more; shift += 7 {
		if shift > 53 {
			return 0, 0, damaged("an object's size is no number")
		}
		next, err := in.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		size |= int64(next&0x7f) << shift
		more = next&0x80 != 0
	}
	return kind, size, nil
}

// readBack reads how far before a difference that stands to which it is one.
func readBack(in io.ByteReader) (int64, error) {
	back := int64(-1)
	for more := true; more; {
		next, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		if back >= 1<<53 {
			return 0, damaged("the place of an object is no number")
		}
		back = (back+1)<<7 | int64(next&0x7f)
		more = next&0x80 != 0
	}
	return back, nil
}

// inflater decompresses one object after the other.
type inflater struct {
	zip    io.ReadCloser
	buffer *bufio.Reader // of section
}

func (i *inflater) open(from io.Reader) (io.Reader, error) {
	if i.zip == nil {
		made, err := zlib.NewReader(from)
		if err != nil {
			return nil, notZlib(err)
		}
		i.zip = made
		return made, nil
	}
	if err := i.zip.(zlib.Resetter).Reset(from, nil); err != nil {
		return nil, notZlib(err)
	}
	return i.zip, nil
}

// all decompresses what has exactly size bytes.
func (i *inflater) all(from *input, size int64, to io.Writer) error {
	content, err := i.open(from)
	if err != nil {
		return err
	}
	n, err := io.Copy(to, io.LimitReader(content, size+1))
	if err != nil {
		return notZlib(err)
	}
	if n != size {
		return damaged("an object has not the size that it says")
	}
	return nil
}

// notZlib tells a stream that is no zlib from one that breaks, or is over a limit.
func notZlib(err error) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) {
		return damaged("%v", err)
	}
	return err
}

// beginning keeps the two numbers that a difference begins with, and drops the rest.
type beginning struct{ kept []byte }

func (b *beginning) Write(content []byte) (int, error) {
	b.kept = append(b.kept, content[:min(len(content), 2*binary.MaxVarintLen64-len(b.kept))]...)
	return len(content), nil
}

func (b *beginning) resultSize() (int64, error) {
	_, n := binary.Uvarint(b.kept)
	if n <= 0 {
		return 0, damaged("a difference has no sizes")
	}
	size, m := binary.Uvarint(b.kept[n:])
	if m <= 0 || int64(size) < 0 { //nolint:gosec // the sign is what is looked at
		return 0, damaged("a difference has no sizes")
	}
	return int64(size), nil //nolint:gosec // seen above
}

// section reads an entry's content from the pack's copy, until the next call.
func (i *inflater) section(file io.ReaderAt, of *entry) (io.Reader, error) {
	start := of.offset + int64(of.header)
	from := io.NewSectionReader(file, start, 1<<62-start)
	if i.buffer == nil {
		i.buffer = bufio.NewReader(from)
	}
	i.buffer.Reset(from)
	return i.open(i.buffer)
}
