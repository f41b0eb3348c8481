package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"

	"slipway.dev/slipway/internal/hint"
)

// endpoint is where the engine listens, resolved as the docker program resolves it.
type endpoint struct {
	host    string // unix:///var/run/docker.sock; "" means the client's default
	context string // the Docker context it came from; "" when none was named
	tlsDir  string // folder with ca.pem, cert.pem and key.pem; "" means no TLS of the context's own
}

// resolveEndpoint follows the docker program's order: DOCKER_HOST, DOCKER_CONTEXT, the current context of
// config.json, the default socket. The layout of the context store is the docker program's own:
// contexts/meta/<sha256 of the name>/meta.json and contexts/tls/<the same>/docker/*.pem.
func resolveEndpoint(getenv func(string) string, home string) (endpoint, error) {
	if host := getenv("DOCKER_HOST"); host != "" {
		return endpoint{host: host}, nil
	}
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(home, ".docker")
	}
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		var err error
		if name, err = currentContext(filepath.Join(dir, "config.json")); err != nil {
			return endpoint{}, err
		}
	}
	if name == "" || name == "default" {
		return endpoint{}, nil
	}
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	host, err := contextHost(filepath.Join(dir, "contexts", "meta", id, "meta.json"))
	if err != nil {
		return endpoint{}, hint.With(fmt.Errorf("reading Docker context %q: %w", name, err), "list the contexts with `docker context ls`, or set DOCKER_HOST")
	}
	e := endpoint{host: host, context: name}
	if tls := filepath.Join(dir, "contexts", "tls", id, "docker"); exists(filepath.Join(tls, "cert.pem")) {
		e.tlsDir = tls
	}
	return e, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func currentContext(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading Docker's configuration: %w", err)
	}
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return "", fmt.Errorf("reading Docker's configuration %s: %w", path, err)
	}
	return config.CurrentContext, nil
}

func contextHost(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var meta struct {
		Endpoints map[string]struct{ Host string }
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return "", err
	}
	if host := meta.Endpoints["docker"].Host; host != "" {
		return host, nil
	}
	return "", errors.New("it names no host")
}

// options turns the endpoint into options of Docker's client library.
func (e endpoint) options() ([]client.Opt, error) {
	if strings.HasPrefix(e.host, "ssh://") {
		return nil, hint.With(fmt.Errorf("the engine at %s is on another machine", e.host),
			"slipway's registry and ports are on the engine's loopback: run slipway there, or choose a local engine with DOCKER_HOST")
	}
	options := []client.Opt{client.WithAPIVersionNegotiation()}
	if e.context == "" {
		return append([]client.Opt{client.FromEnv}, options...), nil
	}
	options = append(options, client.WithHost(e.host))
	if e.tlsDir != "" {
		options = append(options, client.WithTLSClientConfig(
			filepath.Join(e.tlsDir, "ca.pem"), filepath.Join(e.tlsDir, "cert.pem"), filepath.Join(e.tlsDir, "key.pem")))
	}
	return options, nil
}
