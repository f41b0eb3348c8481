package image

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// target is an image as its user wrote it, and where it is asked for.
type target struct {
	// written is the repository as the user wrote it, without tag and digest.
	written string
	// named is what the user wrote, parsed; credentials are looked up under it.
	named name.Reference
	// asked is the same image under the registry's name in the cluster.
	asked name.Reference
	// digest is set when the user wrote one.
	digest string
}

// parse reads spec.image. aliases maps a registry as users write it to the one to ask instead, over plain
// HTTP.
func parse(image string, aliases map[string]string) (target, error) {
	if image != strings.TrimSpace(image) || image == "" {
		return target{}, errors.New("it is empty, or has blanks around it")
	}
	named, err := name.ParseReference(image)
	if err != nil {
		return target{}, err
	}
	result := target{written: repository(image), named: named, asked: named}
	if digest, is := named.(name.Digest); is {
		result.digest = digest.DigestStr()
	}
	alias, found := aliases[named.Context().RegistryStr()]
	if !found {
		return result, nil
	}
	// Only the registry's name changes, so what was a valid reference still is one, if the alias is.
	host, err := name.NewRegistry(alias, name.Insecure)
	if err != nil {
		return target{}, fmt.Errorf("its registry stands for %q, which is not a registry: %w", alias, err)
	}
	repository := host.Repo(named.Context().RepositoryStr())
	if result.digest != "" {
		result.asked = repository.Digest(result.digest)
	} else {
		result.asked = repository.Tag(named.Identifier())
	}
	return result, nil
}

// repository is image without its tag and digest.
func repository(image string) string {
	image, _, _ = strings.Cut(image, "@")
	// A colon before the last slash belongs to the registry's port.
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image
}

// at is the image under the name that its user wrote, at digest.
func (t target) at(digest string) string { return t.written + "@" + digest }

// registry is the host that is asked.
func (t target) registry() string { return t.asked.Context().RegistryStr() }

// followKey is what an event of the registry and an Image that follows it have in common.
func followKey(repository, tag string) string { return repository + ":" + tag }
