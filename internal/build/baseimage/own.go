// Package baseimage provides what lies below an app in its image: slipway's own small base, nothing at all, or an image
// that is found in the environment's registry, in the engine, in an OCI layout or, last, over the network. It also puts
// layers on a base. It keeps nothing between builds but what it found, and builds nothing itself.
package baseimage

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build/layer"
)

const (
	nonroot      = 65532 // the user that other images without root use, too
	home         = "/home/nonroot"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// Own is slipway's base: enough for TLS, time zones, user names and temporary files. It has no shell.
type Own struct {
	CACertificates []byte // PEM; without them the file is left out
	ZoneInfo       []byte // Go's zoneinfo.zip; without it there are no time zones
}

// layer makes the base's layer. It is small and the same for every app, so it is compressed: it is pushed once.
func (b Own) layer() (v1.Layer, error) {
	files := []layer.File{
		{Name: "etc/passwd", Mode: 0o644, Content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{Name: "etc/group", Mode: 0o644, Content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{Name: "etc/nsswitch.conf", Mode: 0o644, Content: []byte("hosts: files dns\n")},
		{Name: "home/nonroot/", Mode: 0o700, Owner: nonroot},
		{Name: "tmp/", Mode: 0o1777},
	}
	if len(b.CACertificates) > 0 {
		files = append(files, layer.File{Name: certificates[1:], Mode: 0o644, Content: b.CACertificates})
	}
	zones, err := b.zones()
	if err != nil {
		return nil, err
	}
	return layer.Compressed(layer.WithFolders(append(files, zones...)))
}

// zones unpacks the time zone database.
func (b Own) zones() ([]layer.File, error) {
	if len(b.ZoneInfo) == 0 {
		return nil, nil
	}
	archive, err := zip.NewReader(bytes.NewReader(b.ZoneInfo), int64(len(b.ZoneInfo)))
	if err != nil {
		return nil, fmt.Errorf("reading the time zones: %w", err)
	}
	var files []layer.File
	for _, entry := range archive.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		content, err := readEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("reading the time zone %s: %w", entry.Name, err)
		}
		files = append(files, layer.File{Name: path.Join("usr/share/zoneinfo", path.Clean("/"+entry.Name)), Mode: 0o644, Content: content})
	}
	return files, nil
}

func readEntry(entry *zip.File) ([]byte, error) {
	reader, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	return io.ReadAll(reader)
}
