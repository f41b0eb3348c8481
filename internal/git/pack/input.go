package pack

import (
	"crypto/sha1" //nolint:gosec // git's format has it
	"errors"
	"hash"
	"hash/crc32"
	"io"
)

// input reads a pack once, byte by byte where it must, keeps a copy, and knows where it is and what was read.
type input struct {
	from io.Reader
	keep io.Writer
	max  int64 // bytes that may come

	buffer  []byte
	at, end int   // what of the buffer is still to be read
	summed  int   // up to where of the buffer the sums go
	before  int64 // bytes before the buffer
	ended   error // what came from the reader together with the last bytes; it may not say it again
	sum     hash.Hash
	crc     hash.Hash32
}

func newInput(from io.Reader, keep io.Writer, most int64) *input {
	return &input{from: from, keep: keep, max: most, buffer: make([]byte, 64<<10), sum: sha1.New(), crc: crc32.NewIEEE()} //nolint:gosec // git's format has it
}

func (i *input) offset() int64 { return i.before + int64(i.at) }

// count brings the sums up to what was read.
func (i *input) count() {
	read := i.buffer[i.summed:i.at]
	_, _ = i.sum.Write(read)
	_, _ = i.crc.Write(read)
	i.summed = i.at
}

// beginEntry begins the sum of one object.
func (i *input) beginEntry() {
	i.count()
	i.crc.Reset()
}

func (i *input) fill() error {
	i.count()
	i.before += int64(i.end)
	i.at, i.end, i.summed = 0, 0, 0
	for i.end == 0 {
		if i.ended != nil {
			return i.ended
		}
		n, err := i.from.Read(i.buffer)
		i.ended = err
		if i.before+int64(n) > i.max {
			return &LimitError{Of: Packed, Limit: i.max}
		}
		if n > 0 {
			i.end = n
			_, err := i.keep.Write(i.buffer[:n])
			return err
		}
	}
	return nil
}

// ReadByte makes the decompressor read no further than to the end of an object.
func (i *input) ReadByte() (byte, error) {
	if i.at == i.end {
		if err := i.fill(); err != nil {
			return 0, err
		}
	}
	i.at++
	return i.buffer[i.at-1], nil
}

func (i *input) Read(to []byte) (int, error) {
	if i.at == i.end {
		if err := i.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(to, i.buffer[i.at:i.end])
	i.at += n
	return n, nil
}

// finish reads the checksum that ends a pack, and sees that it is right and that nothing follows.
func (i *input) finish() ([]byte, error) {
	i.count()
	want := i.sum.Sum(nil)
	said := make([]byte, len(want))
	if _, err := io.ReadFull(i, said); err != nil {
		return nil, err
	}
	if string(said) != string(want) {
		return nil, damaged("its checksum is %x, and its content has %x", said, want)
	}
	switch _, err := i.ReadByte(); {
	case errors.Is(err, io.EOF):
		return said, nil
	case err != nil:
		return nil, err
	}
	return nil, damaged("there is more behind its end")
}
