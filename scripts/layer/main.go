// Command layer packs a program as the finished gzip layer of its image: a tar archive that holds the program alone.
// The same program gives the same bytes, so that an unchanged slipwayd keeps its digest and is not pushed again.
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
	"time"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: layer -name NAME -stamp FILE PROGRAM LAYER\n\nPacks PROGRAM as /NAME into LAYER (.tar.gz). STAMP remembers what was packed, so that nothing is done twice.")
		flag.PrintDefaults()
	}
	name := flag.String("name", "", "the program's name in the layer's root folder")
	stamp := flag.String("stamp", "", "the file that remembers the hashes of the program and the layer")
	flag.Parse()
	if flag.NArg() != 2 || *name == "" || *stamp == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := update(*name, flag.Arg(0), flag.Arg(1), *stamp); err != nil {
		fmt.Fprintln(os.Stderr, "layer:", err)
		os.Exit(1)
	}
}

// update packs the program unless the stamp says that this very layer was made from this very program.
func update(name, programPath, layerPath, stampPath string) error {
	program, err := os.ReadFile(programPath)
	if err != nil {
		return err
	}
	if layer, err := os.ReadFile(layerPath); err == nil {
		if stamp, err := os.ReadFile(stampPath); err == nil && string(stamp) == stampOf(name, program, layer) {
			return nil
		}
	}
	var layer bytes.Buffer
	if err := pack(&layer, name, program); err != nil {
		return fmt.Errorf("packing %s: %w", programPath, err)
	}
	if err := replace(layerPath, layer.Bytes()); err != nil {
		return err
	}
	return replace(stampPath, []byte(stampOf(name, program, layer.Bytes())))
}

func stampOf(name string, program, layer []byte) string {
	return fmt.Sprintf("%s\nprogram sha256:%x\nlayer sha256:%x\n", name, sha256.Sum256(program), sha256.Sum256(layer))
}

// pack writes the layer. Everything that a header could take from this machine (times, owners, names) is fixed.
func pack(out io.Writer, name string, program []byte) error {
	compressed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     name,
		Size:     int64(len(program)),
		Mode:     0o555,
		ModTime:  time.Unix(0, 0),
		Format:   tar.FormatUSTAR,
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	if _, err := archive.Write(program); err != nil {
		return err
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
