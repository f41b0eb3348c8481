// Command layer packs programs as the finished gzip layer of an image: a tar archive that holds them alone.
// The same programs give the same bytes, so that an unchanged slipwayd keeps its digest and is not pushed again.
// It is called by the Makefile and knows nothing of images; slipway makes the image around the layer.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// program is a program to pack, and its name in the layer's root folder.
type program struct{ name, path string }

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: layer -stamp FILE LAYER NAME=PROGRAM...\n\nPacks each PROGRAM as /NAME into LAYER (.tar.gz). STAMP remembers what was packed, so that nothing is done twice.")
		flag.PrintDefaults()
	}
	stamp := flag.String("stamp", "", "the file that remembers the hashes of the programs and the layer")
	flag.Parse()
	var programs []program
	for _, argument := range flag.Args()[min(1, flag.NArg()):] {
		name, path, ok := strings.Cut(argument, "=")
		if !ok || name == "" || path == "" {
			programs = nil
			break
		}
		programs = append(programs, program{name: name, path: path})
	}
	if len(programs) == 0 || *stamp == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := update(programs, flag.Arg(0), *stamp); err != nil {
		fmt.Fprintln(os.Stderr, "layer:", err)
		os.Exit(1)
	}
}

// update packs the programs unless the stamp says that this very layer was made from these very programs.
func update(programs []program, layerPath, stampPath string) error {
	contents := make([][]byte, len(programs))
	for i, one := range programs {
		content, err := os.ReadFile(one.path)
		if err != nil {
			return err
		}
		contents[i] = content
	}
	if layer, err := os.ReadFile(layerPath); err == nil {
		if stamp, err := os.ReadFile(stampPath); err == nil && string(stamp) == stampOf(programs, contents, layer) {
			return nil
		}
	}
	var layer bytes.Buffer
	if err := pack(&layer, programs, contents); err != nil {
		return fmt.Errorf("packing %s: %w", layerPath, err)
	}
	if err := replace(layerPath, layer.Bytes()); err != nil {
		return err
	}
	return replace(stampPath, []byte(stampOf(programs, contents, layer.Bytes())))
}

func stampOf(programs []program, contents [][]byte, layer []byte) string {
	var stamp strings.Builder
	for i, one := range programs {
		fmt.Fprintf(&stamp, "%s sha256:%x\n", one.name, sha256.Sum256(contents[i]))
	}
	fmt.Fprintf(&stamp, "layer sha256:%x\n", sha256.Sum256(layer))
	return stamp.String()
}

// pack writes the layer. Everything that a header could take from this machine (times, owners, names) is fixed.
func pack(out io.Writer, programs []program, contents [][]byte) error {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for i, one := range programs {
		header := &tar.Header{
			Typeflag: tar.TypeReg,
			Name:     one.name,
			Size:     int64(len(contents[i])),
			Mode:     0o555,
			ModTime:  time.Unix(0, 0),
			Format:   tar.FormatUSTAR,
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(contents[i]); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

// replace writes beside the file and renames, so that an interrupted build leaves no half a layer to embed.
func replace(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if _, err := temporary.Write(content); err != nil {
		temporary.Close()
		return err
	}
	if err := temporary.Close(); err != nil {
		return err
	}
	if err := os.Chmod(temporary.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}
