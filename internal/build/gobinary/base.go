package gobinary

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	nonroot      = 65532 // the user that other images without root use, too
	home         = "/home/nonroot"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// Base is what lies below the program: enough for TLS, time zones, user names and temporary files.
type Base struct {
	CACertificates []byte // PEM; without them the file is left out
	ZoneInfo       []byte // Go's zoneinfo.zip; without it there are no time zones
}

// layer makes the base's layer. It is small and the same for every app, so it is compressed: it is pushed once.
func (b Base) layer() (v1.Layer, error) {
	files := []file{
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: "etc/nsswitch.conf", mode: 0o644, content: []byte("hosts: files dns\n")},
		{name: "home/nonroot/", mode: 0o700, owner: nonroot},
		{name: "tmp/", mode: 0o1777},
	}
	if len(b.CACertificates) > 0 {
		files = append(files, file{name: certificates[1:], mode: 0o644, content: b.CACertificates})
	}
	zones, err := b.zones()
	if err != nil {
		return nil, err
	}
	return newLayer(types.OCILayer, withFolders(append(files, zones...)))
}

// zones unpacks the time zone database.
func (b Base) zones() ([]file, error) {
	if len(b.ZoneInfo) == 0 {
		return nil, nil
	}
	archive, err := zip.NewReader(bytes.NewReader(b.ZoneInfo), int64(len(b.ZoneInfo)))
	if err != nil {
		return nil, fmt.Errorf("reading the time zones: %w", err)
	}
	var files []file
	for _, entry := range archive.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		content, err := readEntry(entry)
		if err != nil {
			return nil, fmt.Errorf("reading the time zone %s: %w", entry.Name, err)
		}
		files = append(files, file{name: path.Join("usr/share/zoneinfo", path.Clean("/"+entry.Name)), mode: 0o644, content: content})
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

// withFolders adds the folders above the files and sorts everything, so that a folder stands before what is in it.
func withFolders(files []file) []file {
	known := map[string]bool{}
	for _, f := range files {
		known[f.name] = true
	}
	for _, f := range slices.Clone(files) {
		for parent := path.Dir(strings.TrimSuffix(f.name, "/")); parent != "."; parent = path.Dir(parent) {
			if !known[parent+"/"] {
				known[parent+"/"] = true
				files = append(files, file{name: parent + "/", mode: 0o755})
			}
		}
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files
}
