package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"

	"slipway.dev/slipway/api/slipway/v1alpha1"
	"slipway.dev/slipway/internal/artifact"
	"slipway.dev/slipway/internal/condition"
	"slipway.dev/slipway/internal/pull"
)

const (
	// maxBytes is what a release's artifact may hold, unpacked.
	maxBytes = 64 << 20
	// maxManifests is how much of it may be manifests: decoded they take some fifteen times as much memory, and
	// the controller has 512 MiB.
	maxManifests = 8 << 20
	// fetchLimit bounds a fetch from a registry that has stopped to answer in the middle: it must not hold up the
	// other releases.
	fetchLimit = time.Minute
	// maxObjects is how many objects one release may have; its status lists them.
	maxObjects = 1000
)

// content is what a Release is to apply.
type content struct {
	digest  string // of where it comes from
	objects []*unstructured.Unstructured
	size    int64 // of their manifests, in bytes
	// appliedAt is when this process last applied all of it, for which generation; zero: not yet.
	appliedAt  time.Time
	generation int64
	// next is the wave that is to be applied next, len(waves) when all are, and reached is since when it can be.
	next    int
	reached time.Time
	// passed are the members that would be taken, while not all are applied.
	passed map[v1alpha1.ReleasedObject]bool
}

// digestOf tells what a Release applies apart from all others, without fetching it: an artifact's URL names its content.
func digestOf(release *v1alpha1.Release) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", release.Spec.Source.URL, release.Spec.Source.Revision, path.Clean("/"+release.Spec.Path)))
	return fmt.Sprintf("sha256:%x", sum)
}

// load returns the Release's manifests, from memory where they are there.
func (r *reconciler) load(ctx context.Context, release *v1alpha1.Release) (content, error) {
	digest := digestOf(release)
	made := r.contents.get(release, digest)
	if made.objects != nil {
		return made, nil
	}
	dir, err := os.MkdirTemp("", "slipway-release-")
	if err != nil {
		return content{}, fmt.Errorf("making a folder to fetch into: %w", err)
	}
	defer os.RemoveAll(dir)
	fetching, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	err = artifact.Fetch(fetching, artifact.Source{URL: release.Spec.Source.URL, MaxBytes: maxBytes, Client: r.artifacts}, dir)
	switch {
	case errors.Is(err, artifact.ErrTooLarge):
		return content{}, failed(v1alpha1.ReasonTooLarge, "The artifact holds more than %d MiB. spec.path does not help: what is to be released needs an artifact of its own.", maxBytes>>20)
	case errors.Is(err, artifact.ErrRefused):
		return content{}, failed(v1alpha1.ReasonUnpackable, "Revision %s is not applied: %v.", release.Spec.Source.Revision, err)
	case condition.Scratch(err) != "":
		return content{}, err
	case err != nil:
		return content{}, failed(v1alpha1.ReasonUnreachable, "Revision %s cannot be fetched: %s. It is tried again by itself.", release.Spec.Source.Revision, pull.Text(err))
	}
	if made.objects, made.size, err = r.contents.read(dir, release.Spec.Path); err != nil {
		return content{}, err
	}
	r.contents.put(release, made)
	return made, nil
}

// read decodes every manifest below a folder, in the order of their names, and returns how many bytes they have.
func read(dir, folder string) ([]*unstructured.Unstructured, int64, error) {
	root, err := os.OpenRoot(dir) // nothing in the artifact leads out of it
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	start := path.Clean(folder)
	if folder == "" {
		start = "."
	}
	if !fs.ValidPath(start) {
		return nil, 0, failed(v1alpha1.ReasonInvalidSpec, "spec.path %q leads out of the artifact.", folder)
	}
	var objects []*unstructured.Unstructured
	left := int64(maxManifests)
	err = fs.WalkDir(root.FS(), start, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return failed(v1alpha1.ReasonReferenceNotFound, "The artifact has no folder %q.", folder)
		}
		if err != nil || !entry.Type().IsRegular() || !slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(name)) {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if left -= info.Size(); left < 0 {
			return failed(v1alpha1.ReasonTooLarge, "The manifests hold more than %d MiB. Release what is large in parts, each with a folder or an artifact of its own.", maxManifests>>20)
		}
		content, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return err
		}
		found, err := decode(content)
		if err != nil {
			return failed(v1alpha1.ReasonUnpackable, "%s is no manifest: %v.", name, err)
		}
		objects = append(objects, found...)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	switch {
	case len(objects) == 0:
		// Nothing would be an order to delete everything, and is never meant so.
		return nil, 0, failed(v1alpha1.ReasonUnpackable, "There are no manifests (*.yaml, *.yml, *.json) in %q of the artifact.", folder)
	case len(objects) > maxObjects:
		return nil, 0, failed(v1alpha1.ReasonTooLarge, "The artifact holds %d objects, and one release may have %d.", len(objects), maxObjects)
	}
	return objects, maxManifests - left, nil
}

// decode reads the documents of a file: objects, and lists of them.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(raw) == 0 {
			continue // nothing between two lines of dashes
		}
		var fields map[string]any
		if err := utiljson.Unmarshal(raw, &fields); err != nil { // whole numbers stay whole, of any size
			return nil, err
		}
		if len(fields) == 0 {
			continue
		}
		object := &unstructured.Unstructured{Object: fields}
		if object.IsList() && strings.HasSuffix(object.GetKind(), "List") {
			list, err := object.ToList()
			if err != nil {
				return nil, err
			}
			for i := range list.Items {
				objects = append(objects, &list.Items[i])
			}
			continue
		}
		objects = append(objects, object)
	}
}

// target is an object with where the API server has it.
type target struct {
	object   *unstructured.Unstructured
	resource schema.GroupVersionResource
	name     v1alpha1.ReleasedObject
}

// called is how people name it.
func called(name v1alpha1.ReleasedObject) string {
	text := name.Kind + " " + name.Name
	if name.Namespace != "" {
		text = name.Kind + " " + name.Namespace + "/" + name.Name
	}
	return text
}

// locate finds where an object is to be; one of a kind that a CustomResourceDefinition of the same release brings is not
// known before that is there: unknown is true then.
func (r *reconciler) locate(release *v1alpha1.Release, object *unstructured.Unstructured) (found target, unknown bool, err error) {
	kind := object.GroupVersionKind()
	if object.GetName() == "" || kind.Kind == "" || kind.Version == "" {
		return target{}, false, failed(v1alpha1.ReasonUnpackable, "A manifest lacks apiVersion, kind or metadata.name: it has %s %q.", kind, object.GetName())
	}
	mapping, err := r.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return target{name: nameOf(object)}, true, nil
	}
	if err != nil {
		return target{}, false, fmt.Errorf("asking for kind %s: %w", kind, err)
	}
	object = object.DeepCopy()
	switch {
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		object.SetNamespace("")
	case object.GetNamespace() == "":
		object.SetNamespace(release.Namespace)
	}
	unstructured.RemoveNestedField(object.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(object.Object, "metadata", field)
	}
	return target{object, mapping.Resource, nameOf(object)}, false, nil
}

func nameOf(object *unstructured.Unstructured) v1alpha1.ReleasedObject {
	kind := object.GroupVersionKind()
	return v1alpha1.ReleasedObject{Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// setID returns the name of the ApplySet of a parent, as kubectl makes it (KEP-3659): of its name, namespace, kind and group.
func setID(name, namespace, kind, group string) string {
	return "applyset-" + base64Sum(strings.Join([]string{name, namespace, kind, group}, ".")) + "-v1"
}

func ownerOf(release *v1alpha1.Release) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Release", Name: release.Name, UID: release.UID}
}
