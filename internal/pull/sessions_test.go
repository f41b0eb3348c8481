package pull

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestSessionsAreDropped(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/demo:v1")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	r := NewRegistries(http.DefaultTransport)
	got, err := r.Digest(t.Context(), tag, authn.Anonymous)
	want, wantErr := image.Digest()
	if err != nil || wantErr != nil || got != want.String() || r.Sessions() != 1 {
		t.Errorf("digest %s (%v, %v), want %s; %d sessions, want 1", got, err, wantErr, want, r.Sessions())
	}
	digest, config, err := r.Config(t.Context(), tag, authn.Anonymous, "amd64")
	if err != nil || digest != want.String() || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("config %v of %s: %v", config, digest, err)
	}
	server.Close()
	if _, err := r.Digest(t.Context(), tag, authn.Anonymous); err == nil || r.Sessions() != 0 {
		t.Errorf("of a registry that is gone: %v, %d sessions, want an error and none", err, r.Sessions())
	}
}
