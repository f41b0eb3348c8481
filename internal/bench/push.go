package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"slipway.dev/slipway/internal/kube"
	"slipway.dev/slipway/registry"
)

const megabyte = 1 << 20

// pushPairs is how many pairs a median is taken of at least: a push takes some ten milliseconds.
const pushPairs = 10

// measurePush compares pushes, and the ways to pack a layer, against an environment's registry and node.
func measurePush(ctx context.Context, b *bench) ([]figure, error) {
	defer func() {
		_, _ = b.run(context.WithoutCancel(ctx), b.slipway, "down", "--name", environmentName)
	}()
	if _, err := b.run(ctx, b.slipway, "up", "--name", environmentName, "--profile", "minimal"); err != nil {
		return nil, err
	}
	config, err := kube.ConfigFor(filepath.Join(b.work, "kubeconfig"), "kind-"+environmentName)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	settings, err := client.CoreV1().ConfigMaps("slipway-system").Get(ctx, "slipway-environment", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	ratio, err := b.pushRatio(ctx, settings.Data["registry"])
	if err != nil {
		return nil, err
	}
	layers, err := b.layerWays(ctx, settings.Data["registry"])
	return append(ratio, layers...), err
}

func randomLayer() (v1.Layer, error) {
	content := make([]byte, megabyte)
	_, err := rand.Read(content)
	return static.NewLayer(content, types.OCIUncompressedLayer), err
}

func imageOf(layers ...v1.Layer) (v1.Image, error) {
	return mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layers...)
}

// pushRatio pushes an image of fifty layers of 1 MB again and again, each time with another first one, and in turn an
// image that has but one.
func (b *bench) pushRatio(ctx context.Context, host string) ([]figure, error) {
	pusher := registry.NewPusher(nil)
	large, err := name.NewTag(host + "/bench/large:latest")
	if err != nil {
		return nil, err
	}
	small, err := name.NewTag(host + "/bench/small:latest")
	if err != nil {
		return nil, err
	}
	layers := make([]v1.Layer, 50)
	for i := range layers {
		if layers[i], err = randomLayer(); err != nil {
			return nil, err
		}
	}
	var changed, alone []float64
	for i := range max(b.pairs, pushPairs) + 1 {
		if layers[0], err = randomLayer(); err != nil {
			return nil, err
		}
		ofFifty, err := timePush(ctx, pusher, large, layers...)
		if err != nil {
			return nil, err
		}
		one, err := randomLayer()
		if err != nil {
			return nil, err
		}
		ofOne, err := timePush(ctx, pusher, small, one)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			continue // all fifty layers were new
		}
		changed, alone = append(changed, ofFifty), append(alone, ofOne)
	}
	return []figure{{"push_ratio", median(changed) / median(alone), "x", "<= 1.5 x", fmt.Sprintf(
		"pushing 50 MB of which one layer of 1 MB changed (%.0f ms), to pushing a one-layer 1 MB image (%.0f ms)", 1e3*median(changed), 1e3*median(alone))}}, nil
}

// timePush returns how long it takes to push an image of the layers, in seconds.
func timePush(ctx context.Context, pusher *registry.Pusher, tag name.Tag, layers ...v1.Layer) (float64, error) {
	image, err := imageOf(layers...)
	if err != nil {
		return 0, err
	}
	if _, err := image.Digest(); err != nil { // the image is made by then
		return 0, err
	}
	start := time.Now()
	_, err = pusher.Push(ctx, image, tag, nil)
	return time.Since(start).Seconds(), err
}

// layerWays measures the way of a program's layer from the archive to unpacked on the node: packed, pushed, pulled.
func (b *bench) layerWays(ctx context.Context, host string) ([]figure, error) {
	program, err := os.ReadFile(b.slipway)
	if err != nil {
		return nil, err
	}
	program = program[:min(len(program), 6*megabyte)] // machine code, as much as a small server has
	ways := []struct {
		name string
		pack []tarball.LayerOption
	}{
		{"layer_plain", nil},
		{"layer_gzip", []tarball.LayerOption{tarball.WithCompression(compression.GZip), tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching}},
		{"layer_zstd", []tarball.LayerOption{tarball.WithCompression(compression.ZStd), tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayerZStd), tarball.WithCompressedCaching}},
	}
	took := map[string][]float64{}
	pusher := registry.NewPusher(nil)
	for i := range b.pairs {
		for _, way := range ways {
			archive, err := programArchive(program, fmt.Sprint(way.name, i))
			if err != nil {
				return nil, err
			}
			seconds, err := b.layerWay(ctx, pusher, host, archive, way.pack)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			took[way.name] = append(took[way.name], seconds)
		}
	}
	plain := median(took["layer_plain"])
	figures := []figure{{"layer_plain", plain, "s", "the least", "6 MB of machine code, from the archive to unpacked on the node (packed, pushed, `ctr images pull`), not compressed"}}
	for _, way := range ways[1:] {
		seconds := median(took[way.name])
		figures = append(figures, figure{way.name, seconds / plain, "x", "", fmt.Sprintf("the same, compressed at its fastest level (%.2f s), to not compressed", seconds)})
	}
	return figures, nil
}

func (b *bench) layerWay(ctx context.Context, pusher *registry.Pusher, host string, archive []byte, pack []tarball.LayerOption) (float64, error) {
	tag, err := name.NewTag(host + "/bench/layer:latest")
	if err != nil {
		return 0, err
	}
	start := time.Now()
	var layer v1.Layer = static.NewLayer(archive, types.OCIUncompressedLayer)
	if pack != nil {
		layer, err = tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }, pack...)
		if err != nil {
			return 0, err
		}
	}
	image, err := imageOf(layer)
	if err != nil {
		return 0, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return 0, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	if image, err = mutate.ConfigFile(image, file); err != nil {
		return 0, err
	}
	pushed, err := pusher.Push(ctx, image, tag, nil)
	if err != nil {
		return 0, err
	}
	_, err = b.run(ctx, "docker", "exec", environmentName+"-control-plane", "ctr", "--namespace=k8s.io", "images", "pull",
		"--hosts-dir=/etc/containerd/certs.d", pushed.Reference.String())
	return time.Since(start).Seconds(), err
}

// programArchive is a layer with one program in it; mark makes it another program.
func programArchive(program []byte, mark string) ([]byte, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	if err := writer.WriteHeader(&tar.Header{Name: "program", Mode: 0o755, Size: int64(len(mark) + len(program))}); err != nil {
		return nil, err
	}
	for _, part := range [][]byte{[]byte(mark), program} {
		if _, err := writer.Write(part); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return archive.Bytes(), err
}
