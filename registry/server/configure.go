package server

import (
	"crypto/rand"

	"github.com/distribution/distribution/v3/configuration"
)

// configure is distribution's configuration for a registry over a directory.
func configure(root string) *configuration.Configuration {
	config := &configuration.Configuration{
		Version: "0.1",
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": root},
			// Garbage collection and `crane delete` need it.
			"delete": {"enabled": true},
			// No cache of blob descriptors: what a sweep or a lost volume took must not be believed to be there, and
			// looking at a local disk takes some ten microseconds.
			"maintenance": {"uploadpurging": map[any]any{
				"enabled":  true,
				"age":      "1h", // an upload that was broken off is never resumed, and its data fills the disk
				"interval": "15m",
				"dryrun":   false,
			}},
		},
		// An index may name children that nobody pushed (one platform of a multi-platform image is enough
		// here), and layers may have foreign URLs.
		Validation: configuration.Validation{Disabled: true},
	}
	// Clients reach the registry under several names; a relative Location is right under all of them.
	config.HTTP.RelativeURLs = true
	// It signs the state of uploads; one that a restart interrupted begins anew.
	config.HTTP.Secret = rand.Text()
	return config
}
