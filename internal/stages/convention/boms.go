package convention

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	// sbomLabel has the digest of the layer with the bills of material, on images of Cloud Native Buildpacks.
	sbomLabel = "io.buildpacks.app.sbom"
	// lifecycleLabel has it on those of older ones, in JSON.
	lifecycleLabel = "io.buildpacks.lifecycle.metadata"
	// maxBOMs bounds what all bills of material of one PodIntent may take: they are held in memory while a webhook
	// is asked.
	maxBOMs = 32 << 20
)

// bom is a bill of material, as webhooks get it.
type bom struct {
	Name string `json:"name"`
	Raw  []byte `json:"raw"`
}

// bomLayer is the digest of an image's layer with bills of material; "" when there is none.
func bomLayer(config *v1.ConfigFile) string {
	if config == nil {
		return ""
	}
	if digest := config.Config.Labels[sbomLabel]; digest != "" {
		return digest
	}
	var lifecycle struct {
		SBOM struct {
			SHA string `json:"sha"`
		} `json:"sbom"`
		BOM struct {
			SHA string `json:"sha"`
		} `json:"bom"`
	}
	if json.Unmarshal([]byte(config.Config.Labels[lifecycleLabel]), &lifecycle) != nil {
		return ""
	}
	if lifecycle.SBOM.SHA != "" {
		return lifecycle.SBOM.SHA
	}
	return lifecycle.BOM.SHA
}

// boms reads the bills of material of an image, of which there may be no more than left bytes.
func (i *images) boms(ctx context.Context, of image, left int64) ([]bom, int64, error) {
	digest := bomLayer(of.config)
	if digest == "" {
		return nil, left, nil
	}
	content, err := v1.NewHash(digest)
	if err != nil {
		return nil, left, fmt.Errorf("image: %q error: reading where its bill of materials is: %w", of.name, err)
	}
	layer, err := i.registries.Layer(ctx, of.asked, of.auth, runtime.GOARCH, content)
	if err != nil {
		return nil, left, fmt.Errorf("image: %q error: opening its bill of materials: %w", of.name, err)
	}
	defer layer.Close()
	found, left, err := readBOMs(tar.NewReader(layer), left)
	if err != nil {
		return nil, left, fmt.Errorf("image: %q error: reading its bill of materials: %w", of.name, err)
	}
	return found, left, nil
}

func readBOMs(archive *tar.Reader, left int64) ([]bom, int64, error) {
	var found []bom
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found, left, nil
		}
		if err != nil {
			return nil, left, err
		}
		if entry.Typeflag != tar.TypeReg {
			continue
		}
		if left -= entry.Size; left < 0 {
			return nil, left, fmt.Errorf("with the others it is larger than %d MiB", maxBOMs>>20)
		}
		raw, err := io.ReadAll(archive)
		if err != nil {
			return nil, left, err
		}
		found = append(found, bom{Name: "cnb-app:" + entry.Name, Raw: raw})
	}
}
