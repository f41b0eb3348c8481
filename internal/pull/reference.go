// Package pull knows how a stage looks at an image in a registry: under which name the registry answers in the cluster,
// with which credentials, and over which connection. Credentials are read as the service account that they are for.
// What is done with an image, and what is said when it cannot be had, is in the stages.
package pull

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Target is an image as its user wrote it, and where it is asked for.
type Target struct {
	Written string         // the repository as the user wrote it, without tag and digest
	Named   name.Reference // what the user wrote, parsed; credentials are looked up under it
	Asked   name.Reference // the same image under the registry's name in the cluster
	Digest  string         // "" unless the user wrote one
}

// Parse reads the name of an image. aliases maps a registry as users write it to the one to ask instead, over plain
// HTTP. An error says what is wrong with the name.
func Parse(image string, aliases map[string]string) (Target, error) {
	if image != strings.TrimSpace(image) || image == "" {
		return Target{}, errors.New("it is empty, or has blanks around it")
	}
	named, err := name.ParseReference(image)
	if err != nil {
		return Target{}, err
	}
	result := Target{Written: repository(image), Named: named, Asked: named}
	if digest, is := named.(name.Digest); is {
		result.Digest = digest.DigestStr()
	}
	alias, found := aliases[named.Context().RegistryStr()]
	if !found {
		return result, nil
	}
	// Only the registry's name changes, so what was a valid reference still is one, if the alias is.
	host, err := name.NewRegistry(alias, name.Insecure)
	if err != nil {
		return Target{}, fmt.Errorf("its registry stands for %q, which is not a registry: %w", alias, err)
	}
	repository := host.Repo(named.Context().RepositoryStr())
	if result.Digest != "" {
		result.Asked = repository.Digest(result.Digest)
	} else {
		result.Asked = repository.Tag(named.Identifier())
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

// At is the image under the name that its user wrote, at digest.
func (t Target) At(digest string) string { return t.Written + "@" + digest }

// Registry is the host that is asked.
func (t Target) Registry() string { return t.Asked.Context().RegistryStr() }
