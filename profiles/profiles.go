// Package profiles holds the named sets of what `up` installs. A profile is data: which components, and which supply
// chains and templates. Profiles are cumulative: each holds all of the one before it. Installing them is the business
// of package bootstrap.
package profiles

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"slipway.dev/slipway/embedded"
	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/kube"
)

// Components that a profile can have.
const (
	Registry    = "registry"
	Controller  = "controller"
	CertManager = "cert-manager"
	Git         = "git"
)

// Default is the profile that `up` installs when none is named.
const Default = "basic"

// Profile is a named set of components, supply chains and templates.
type Profile struct {
	Name       string   `json:"name"`
	Summary    string   `json:"summary"`
	Components []string `json:"components"`

	templates []string // folders of embedded templates
}

var all = []Profile{
	{
		Name:       "minimal",
		Summary:    "A registry and the supply-chain controller; you bring supply chains and templates",
		Components: []string{Registry, Controller},
	},
	{
		Name:       Default,
		Summary:    "minimal, cert-manager, and a supply chain from an image to a running app with a URL",
		Components: []string{Registry, Controller, CertManager},
		templates:  []string{"basic"},
	},
	{
		Name:       "testing",
		Summary:    "basic, a git server, and a supply chain from a commit over tests, an image and GitOps to a delivered app",
		Components: []string{Registry, Controller, CertManager, Git},
		templates:  []string{"basic", "testing"},
	},
}

// planned are the names that the design has and this version does not.
var planned = []string{"scanning"}

// All returns every profile, the smallest first.
func All() []Profile { return slices.Clone(all) }

// Names returns the names of all profiles, the smallest first.
func Names() []string {
	var names []string
	for _, profile := range all {
		names = append(names, profile.Name)
	}
	return names
}

// Get returns the named profile; the error for an unknown name lists the known ones.
func Get(name string) (Profile, error) {
	for _, profile := range all {
		if profile.Name == name {
			return profile, nil
		}
	}
	advice := "choose one of " + strings.Join(Names(), ", ") + "; `slipway profiles` describes them"
	if slices.Contains(planned, name) {
		return Profile{}, hint.With(fmt.Errorf("profile %q is not built yet in this version of slipway", name), advice)
	}
	return Profile{}, hint.With(fmt.Errorf("there is no profile %q", name), advice)
}

// Has says whether the profile installs a component.
func (p Profile) Has(component string) bool { return slices.Contains(p.Components, component) }

// Settings are the facts of an environment that templates need.
type Settings struct {
	RegistryPort  int    // the loopback port of the registry; 0 means 5000
	SlipwaydImage string // as pods name it; "" means the one in the registry
	GitServer     string // host and port of the git server, as pods name it; "" means that of the default environment
}

// Objects returns the profile's supply chains, templates and what they need, for the default settings.
func (p Profile) Objects() ([]*unstructured.Unstructured, error) { return p.ObjectsFor(Settings{}) }

// ObjectsFor returns the profile's supply chains, templates and what they need, for an environment.
func (p Profile) ObjectsFor(settings Settings) ([]*unstructured.Unstructured, error) {
	if settings.RegistryPort == 0 {
		settings.RegistryPort = 5000
	}
	if settings.SlipwaydImage == "" {
		settings.SlipwaydImage = fmt.Sprintf("localhost:%d/slipway/slipwayd", settings.RegistryPort)
	}
	if settings.GitServer == "" {
		settings.GitServer = environment.Name(environment.DefaultName).GitInCluster()
	}
	replacer := strings.NewReplacer("${REGISTRY_PORT}", fmt.Sprint(settings.RegistryPort), "${SLIPWAYD_IMAGE}", settings.SlipwaydImage,
		"${GIT_SERVER}", settings.GitServer)
	var objects []*unstructured.Unstructured
	for _, folder := range p.templates {
		contents, err := embedded.Templates(folder)
		if err != nil {
			return nil, err
		}
		for _, content := range contents {
			found, err := kube.Decode([]byte(replacer.Replace(string(content))))
			if err != nil {
				return nil, fmt.Errorf("reading profile %s: %w", p.Name, err)
			}
			objects = append(objects, found...)
		}
	}
	return objects, nil
}
