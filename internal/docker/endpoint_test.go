package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// contextStore writes a Docker configuration with one context and returns its folder.
func contextStore(t *testing.T, current, name, host string, tls bool) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	files := map[string]string{
		"config.json": `{"currentContext": "` + current + `"}`,
		filepath.Join("contexts", "meta", id, "meta.json"): `{"Name": "` + name + `", "Endpoints": {"docker": {"Host": "` + host + `"}}}`,
	}
	if tls {
		files[filepath.Join("contexts", "tls", id, "docker", "cert.pem")] = "x"
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestResolveEndpoint(t *testing.T) {
	const colima = "unix:///home/me/.colima/docker.sock"
	store := contextStore(t, "colima", "colima", colima, false)
	secured := contextStore(t, "", "far", "tcp://far:2376", true)
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		env     map[string]string
		want    endpoint
		wantErr string
	}{
		{"nothing is set", map[string]string{"DOCKER_CONFIG": t.TempDir()}, endpoint{}, ""},
		{"DOCKER_HOST wins", map[string]string{"DOCKER_HOST": "unix:///x", "DOCKER_CONFIG": store}, endpoint{host: "unix:///x"}, ""},
		{"the current context", map[string]string{"DOCKER_CONFIG": store}, endpoint{host: colima, context: "colima"}, ""},
		{"DOCKER_CONTEXT over the current one", map[string]string{"DOCKER_CONFIG": store, "DOCKER_CONTEXT": "default"}, endpoint{}, ""},
		{"a context with TLS", map[string]string{"DOCKER_CONFIG": secured, "DOCKER_CONTEXT": "far"}, endpoint{host: "tcp://far:2376", context: "far", tlsDir: "set"}, ""},
		{"a context that is not there", map[string]string{"DOCKER_CONFIG": store, "DOCKER_CONTEXT": "gone"}, endpoint{}, `context "gone"`},
		{"a broken configuration", map[string]string{"DOCKER_CONFIG": broken}, endpoint{}, "config.json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := resolveEndpoint(func(key string) string { return test.env[key] }, t.TempDir())
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error = %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.tlsDir != "" {
				got.tlsDir = "set"
			}
			if got != test.want {
				t.Errorf("resolveEndpoint() = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestOptionsRefuseAnotherMachine(t *testing.T) {
	if _, err := (endpoint{host: "ssh://me@far"}).options(); err == nil {
		t.Error("an engine over ssh was accepted")
	}
}
