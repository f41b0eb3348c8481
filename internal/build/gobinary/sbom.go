package gobinary

import (
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/build/layer"
	"slipway.dev/slipway/internal/version"
)

// spdxType is the media type of an SPDX document in JSON (registered with IANA).
const spdxType = "application/spdx+json"

// The parts of SPDX 2.3 (https://spdx.github.io/spdx-spec/v2.3) that are said about a Go program.
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		License       string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Describes     []string           `json:"documentDescribes"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		ID         string          `json:"SPDXID"`
		Name       string          `json:"name"`
		Version    string          `json:"versionInfo,omitempty"`
		Location   string          `json:"downloadLocation"`
		Analyzed   bool            `json:"filesAnalyzed"`
		Concluded  string          `json:"licenseConcluded"`
		Declared   string          `json:"licenseDeclared"`
		Copyright  string          `json:"copyrightText"`
		Purpose    string          `json:"primaryPackagePurpose,omitempty"`
		References []spdxReference `json:"externalRefs,omitempty"`
	}
	spdxReference struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Kind string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

// billOfMaterials says of which modules, as the compiler recorded them in the program, an image is made. What the base
// holds is not in it. It depends on nothing but the image and slipway's version.
func billOfMaterials(program, name string, image v1.Image) ([]build.Evidence, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, fmt.Errorf("reading of what the program is made: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return nil, err
	}
	document := describe(info, name, digest)
	content, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing of what the program is made: %w", err)
	}
	return []build.Evidence{{MediaType: spdxType, Content: content}}, nil
}

func describe(info *debug.BuildInfo, name string, image v1.Hash) spdxDocument {
	root := newPackage(name, image.String(), "pkg:oci/"+name+"@"+strings.ReplaceAll(image.String(), ":", "%3A"))
	root.Purpose = "CONTAINER"
	document := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name,
		Namespace: "https://slipway.dev/spdx/" + name + "/" + image.Hex,
		Creation:  spdxCreation{Created: layer.Epoch().Format(time.RFC3339), Creators: []string{"Tool: slipway-" + version.Version()}},
		Describes: []string{root.ID}, Packages: []spdxPackage{root},
		Relationships: []spdxRelationship{{From: "SPDXRef-DOCUMENT", Kind: "DESCRIBES", To: root.ID}},
	}
	main := newModule(&info.Main)
	document.add(main, root.ID, "CONTAINS")
	for _, module := range slices.SortedFunc(slices.Values(info.Deps), func(a, b *debug.Module) int { return cmp.Compare(a.Path, b.Path) }) {
		document.add(newModule(module), main.ID, "DEPENDS_ON")
	}
	document.add(newModule(&debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}), main.ID, "DEPENDS_ON")
	return document
}

func (d *spdxDocument) add(p spdxPackage, to, kind string) {
	d.Packages = append(d.Packages, p)
	d.Relationships = append(d.Relationships, spdxRelationship{From: to, Kind: kind, To: p.ID})
}

// newModule describes the code that was compiled: of a replaced module, the one that replaces it; but a folder that
// replaces one has no name that means something elsewhere, nor a version.
func newModule(module *debug.Module) spdxPackage {
	switch {
	case module.Replace == nil:
	case unversioned(module.Replace.Version):
		module = &debug.Module{Path: module.Path}
	default:
		module = module.Replace
	}
	locator := "pkg:golang/" + module.Path
	version := module.Version
	if unversioned(version) {
		version = ""
	} else {
		locator += "@" + version
	}
	return newPackage(module.Path, version, locator)
}

// unversioned says whether the compiler knew no version: it writes (devel) then, or nothing.
func unversioned(version string) bool { return version == "" || version == "(devel)" }

func newPackage(name, version, locator string) spdxPackage {
	const unknown = "NOASSERTION"
	sum := sha256.Sum256([]byte(locator))
	return spdxPackage{
		ID: "SPDXRef-Package-" + hex.EncodeToString(sum[:8]), Name: name, Version: version,
		Location: unknown, Concluded: unknown, Declared: unknown, Copyright: unknown,
		References: []spdxReference{{Category: "PACKAGE-MANAGER", Type: "purl", Locator: locator}},
	}
}
