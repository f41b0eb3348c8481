package layer

import (
	"archive/tar"
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// InFile is a layer in a file, not compressed.
type InFile struct {
	path string
	sum  v1.Hash
	size int64
}

var _ v1.Layer = (*InFile)(nil)

// Copy writes a layer's archive into a file, not compressed. With normalize, all times in it become Epoch: then two
// builds of the same content give the same bytes. The order of the entries and their owners and modes stay.
func Copy(from v1.Layer, file string, normalize bool) (_ *InFile, err error) {
	in, err := from.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			_ = os.Remove(file)
		}
	}()
	buffered := bufio.NewWriterSize(out, 1<<20)
	sum := sha256.New()
	counted := &counter{hash: sum, out: buffered}
	if normalize {
		err = rewrite(in, counted)
	} else {
		_, err = io.Copy(counted, in)
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("copying a layer: %w", err)
	}
	return &InFile{path: file, size: counted.size, sum: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}}, nil
}

func rewrite(in io.Reader, out io.Writer) error {
	reader, writer := tar.NewReader(in), tar.NewWriter(out)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return writer.Close()
		}
		if err != nil {
			return err
		}
		header.ModTime, header.Format = Epoch(), tar.FormatPAX
		header.AccessTime, header.ChangeTime = time.Time{}, time.Time{}
		for _, record := range []string{"mtime", "atime", "ctime"} {
			delete(header.PAXRecords, record)
		}
		if err := writer.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(writer, reader); err != nil {
			return err
		}
	}
}

// counter hashes and counts what goes through it.
type counter struct {
	hash io.Writer
	out  io.Writer
	size int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.out.Write(p)
	_, _ = c.hash.Write(p[:n]) // a hash takes everything
	c.size += int64(n)
	return n, err
}

func (l *InFile) Digest() (v1.Hash, error)             { return l.sum, nil }
func (l *InFile) DiffID() (v1.Hash, error)             { return l.sum, nil }
func (l *InFile) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l *InFile) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }
func (l *InFile) Size() (int64, error)                 { return l.size, nil }
func (l *InFile) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// Path is the file; whoever made the layer removes it.
func (l *InFile) Path() string { return l.path }
