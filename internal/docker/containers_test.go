package docker

import (
	"errors"
	"testing"

	"slipway.dev/slipway/internal/hint"
)

// TestPortTakenAtStart: the words are those of engines 20.10 and 28, and of Docker Desktop.
func TestPortTakenAtStart(t *testing.T) {
	for words, advised := range map[string]bool{
		"driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:5000 failed: port is already allocated":                     true,
		"failed to set up container networking: listen tcp4 127.0.0.1:5000: bind: address already in use":                                              true,
		"Ports are not available: exposing port TCP 127.0.0.1:5000 -> 0.0.0.0:0: listen tcp 127.0.0.1:5000: bind: Only one usage of each is permitted": true,
		"OCI runtime create failed": false,
	} {
		err := errors.Join(notStarted("slipway-registry", errors.New(words)), errors.New("removing it"))
		if got := len(hint.Of(err)) > 0; got != advised {
			t.Errorf("%s: advice %v, want %v", words, got, advised)
		}
	}
}
