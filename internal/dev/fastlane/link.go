package fastlane

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	corev1 "k8s.io/api/core/v1"

	"slipway.dev/slipway/internal/supervise/wire"
)

// link is the way to one pod.
type link struct {
	pod *corev1.Pod // as it was when the link was made: name, image and token stay

	mutex      sync.Mutex // held while the pod is spoken with
	client     *client    // nil before the first connection
	program    string     // hash of the synced program; "" means the image's
	files      map[string]string
	generation int // of what it has
}

// container is the supervised one; its zero value where there is none.
func (k *link) container() corev1.Container {
	for _, c := range k.pod.Spec.Containers {
		if c.Name == k.pod.Annotations[annotation] {
			return c
		}
	}
	return corev1.Container{}
}

func (k *link) token() string {
	for _, variable := range k.container().Env {
		if variable.Name == wire.TokenVariable {
			return variable.Value
		}
	}
	return ""
}

// digest is that of the pod's image; "" where it is named otherwise.
func (k *link) digest() string {
	_, digest, _ := strings.Cut(k.container().Image, "@")
	return digest
}

func (k *link) hangUp() {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.client != nil {
		k.client.close()
		k.client = nil
	}
}

// lacks is what the pod must get to have what is wanted.
func (k *link) lacks(wanted content) change {
	what := change{restart: wanted.restart}
	if wanted.program != nil && wanted.program.SHA256 != k.program {
		what.program = &wanted.program.blob
	}
	for _, target := range slices.Sorted(maps.Keys(wanted.files)) {
		if k.files[target] != wanted.files[target].SHA256 {
			what.files = append(what.files, wanted.files[target])
		}
	}
	for _, target := range slices.Sorted(maps.Keys(wanted.removed)) {
		if sum, there := k.files[target]; !there || sum != "" {
			what.removed = append(what.removed, target)
		}
	}
	return what
}

// strays is what the pod must get to have what an image holds, as far as anything was synced into it.
func (k *link) strays(image v1.Image) (change, error) {
	what := change{restart: true}
	program, err := programOf(image)
	if err != nil {
		return what, err
	}
	had := maps.Clone(k.files)
	if k.program != "" {
		had[program] = k.program
	}
	holds, err := find(image, slices.Collect(maps.Keys(had)))
	if err != nil {
		return what, err
	}
	for _, name := range slices.Sorted(maps.Keys(had)) {
		own, there := holds[name]
		isProgram := name == program && k.program != ""
		if !there {
			if had[name] != "" && !isProgram {
				what.removed = append(what.removed, name)
			}
			continue
		}
		if own.SHA256 == had[name] {
			continue
		}
		again, err := own.again()
		if err != nil {
			return what, err
		}
		if isProgram {
			what.program = &again.blob
		} else {
			what.files = append(what.files, again)
		}
	}
	return what, nil
}

// again is the file with its content, to be sent.
func (f found) again() (file, error) {
	text, err := f.read()
	return inMemory(f.path, f.mode, text), err
}

// programOf is the path of an image's program; a name that is looked up in PATH is returned as it is.
func programOf(image v1.Image) (string, error) {
	file, err := image.ConfigFile()
	if err != nil {
		return "", err
	}
	if words := slices.Concat(file.Config.Entrypoint, file.Config.Cmd); len(words) > 0 {
		return words[0], nil
	}
	return "", errors.New("the image names no program")
}
