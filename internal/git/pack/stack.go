package pack

import (
	"bytes"
	"io"
	"os"
)

// stackMemory is how many bytes of the objects that others are made of are held in memory.
const stackMemory = 16 << 20

// stack holds the contents of objects while others are made of them, the last on top: in memory as far as that goes, the
// others in a file.
type stack struct {
	dir  string // for the file
	held int64  // bytes in memory
	file *os.File
	top  int64 // where the file's content ends
}

// content is one object's on a stack.
type content struct {
	of     *stack
	size   int64
	memory []byte
	begin  int64 // in the file
	inFile bool
	writer io.Writer
}

// filler writes into memory of a fixed size.
type filler struct{ left []byte }

func (f *filler) Write(content []byte) (int, error) {
	n := copy(f.left, content)
	f.left = f.left[n:]
	if n < len(content) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// push makes room on top for an object of a size.
func (s *stack) push(size int64) (*content, error) {
	made := &content{of: s, size: size}
	if size <= stackMemory-s.held {
		s.held += size
		made.memory = make([]byte, size)
		made.writer = &filler{made.memory}
		return made, nil
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "tmp_objects_")
		if err != nil {
			return nil, err
		}
		s.file = file
	}
	made.inFile, made.begin = true, s.top
	made.writer = io.NewOffsetWriter(s.file, s.top)
	s.top += size
	return made, nil
}

// reader reads the content; any number may read at the same time.
func (c *content) reader() *io.SectionReader {
	if c.inFile {
		return io.NewSectionReader(c.of.file, c.begin, c.size)
	}
	return io.NewSectionReader(bytes.NewReader(c.memory), 0, c.size)
}

// pop takes the content from the top.
func (c *content) pop() {
	if c.inFile {
		c.of.top = c.begin
	} else {
		c.of.held -= c.size
	}
	c.memory = nil
}

func (s *stack) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if removed := os.Remove(s.file.Name()); err == nil {
		err = removed
	}
	return err
}
