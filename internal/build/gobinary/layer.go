package gobinary

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is an entry of a layer; a name that ends with a slash is a folder.
type file struct {
	name    string
	mode    int64
	owner   int
	content []byte
}

// layer is a v1.Layer in memory, packed exactly once.
//
// The program's layer is not compressed. Over loopback that is what is fastest: of a program of 6 MB, compressing
// takes 60 to 160 ms at the lowest level and unpacking another 50, while its bytes are sent and hashed in a few.
type layer struct {
	mediaType types.MediaType
	packed    []byte
	digest    v1.Hash // of packed
	plain     []byte  // the tar archive
	diffID    v1.Hash // of plain
}

var _ v1.Layer = (*layer)(nil)

// newLayer packs files in the order given.
func newLayer(mediaType types.MediaType, files []file) (*layer, error) {
	plain, err := archive(files)
	if err != nil {
		return nil, err
	}
	l := &layer{mediaType: mediaType, plain: plain, packed: plain, diffID: hash(plain)}
	l.digest = l.diffID
	if mediaType == types.OCIUncompressedLayer {
		return l, nil
	}
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write(plain); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	l.packed = packed.Bytes()
	l.digest = hash(l.packed)
	return l, nil
}

// archive writes files with zero times and numeric owners, so that only their names and content matter.
func archive(files []file) ([]byte, error) {
	var size int
	for _, f := range files {
		size += len(f.content) + 1024
	}
	var buffer bytes.Buffer
	buffer.Grow(size + 1024)
	writer := tar.NewWriter(&buffer)
	for _, f := range files {
		header := &tar.Header{
			Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(f.content)),
			ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		}
		if f.name[len(f.name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func hash(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

func (l *layer) Digest() (v1.Hash, error) { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }
func (l *layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.packed)), nil
}
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.plain)), nil
}
func (l *layer) Size() (int64, error)                { return int64(len(l.packed)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return l.mediaType, nil }
