package pull

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var aliases = map[string]string{"localhost:5000": "slipway-registry:5000"}

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestParse(t *testing.T) {
	tests := []struct {
		image  string
		asked  string
		scheme string
		at     string
	}{
		{"localhost:5000/apps/demo", "slipway-registry:5000/apps/demo:latest", "http", "localhost:5000/apps/demo@"},
		{"localhost:5000/apps/demo:v1", "slipway-registry:5000/apps/demo:v1", "http", "localhost:5000/apps/demo@"},
		{"localhost:5000/apps/demo@" + someDigest, "slipway-registry:5000/apps/demo@" + someDigest, "http", "localhost:5000/apps/demo@"},
		{"localhost:5000/apps/demo:v1@" + someDigest, "slipway-registry:5000/apps/demo@" + someDigest, "http", "localhost:5000/apps/demo@"},
		{"localhost:5001/demo", "localhost:5001/demo:latest", "http", "localhost:5001/demo@"},
		{"registry.localhost:5001/demo", "registry.localhost:5001/demo:latest", "http", "registry.localhost:5001/demo@"},
		{"127.0.0.1:5001/demo", "127.0.0.1:5001/demo:latest", "http", "127.0.0.1:5001/demo@"},
		{"10.1.2.3:5000/demo:a", "10.1.2.3:5000/demo:a", "http", "10.1.2.3:5000/demo@"},
		{"nginx", "index.docker.io/library/nginx:latest", "https", "nginx@"},
		{"ghcr.io/acme/web:stable", "ghcr.io/acme/web:stable", "https", "ghcr.io/acme/web@"},
	}
	for _, test := range tests {
		t.Run(test.image, func(t *testing.T) {
			got, err := Parse(test.image, aliases)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.asked, test.scheme, test.at}, []string{got.Asked.Name(), got.Asked.Context().Scheme(), got.At("")}); diff != "" {
				t.Errorf("Parse(%q) differs (-want +got):\n%s", test.image, diff)
			}
			if strings.Contains(test.image, "@") != (got.Digest != "") {
				t.Errorf("Parse(%q).Digest = %q", test.image, got.Digest)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, image := range []string{"", " nginx", "nginx ", "Nginx", "http://localhost:5000/demo", "demo@sha256:abc", "a/b:c:d", "demo:"} {
		if got, err := Parse(image, aliases); err == nil {
			t.Errorf("Parse(%q) = %s, want an error", image, got.Asked)
		}
	}
	if _, err := Parse("localhost:5000/demo", map[string]string{"localhost:5000": "not a host"}); err == nil {
		t.Error("parse accepted an alias that is no registry")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"localhost:5000/apps/demo:v1", "nginx@" + someDigest, "a:b@c", "/", ":@", "localhost:5000/a/b:c@" + someDigest} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, image string) {
		parsed, err := Parse(image, aliases)
		if err != nil {
			return
		}
		again, err := Parse(parsed.At(someDigest), aliases)
		if err != nil {
			t.Fatalf("Parse(%q) gives %q, which does not parse: %v", image, parsed.At(someDigest), err)
		}
		if got, want := again.Asked.Context().Name(), parsed.Asked.Context().Name(); got != want {
			t.Errorf("Parse(%q) follows %s, its result %s", image, want, got)
		}
	})
}
