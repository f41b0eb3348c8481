package dockerfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/docker"
	"slipway.dev/slipway/internal/hint"
)

// progress tells of a build's steps, and notes which images it stands on.
type progress struct {
	request build.Request
	bases   []string
}

func newProgress(r build.Request) *progress { return &progress{request: r} }

// metadata is how BuildKit names the step in which it looks at an image.
const metadata = "[internal] load metadata for "

// frontend is the beginning of the names of images that a line `# syntax=` has BuildKit run.
const frontend = "docker.io/docker/dockerfile"

func (p *progress) tell(step, line string) {
	if base, found := strings.CutPrefix(step, metadata); found && line == "" {
		p.bases = append(p.bases, base)
	}
	switch {
	case line != "":
		p.request.Say(line)
	case !strings.HasPrefix(step, "[internal]"):
		p.request.Say(step)
	}
}

// exitText is what BuildKit adds to what the command itself says.
var exitText = regexp.MustCompile(`(?:executor failed running|process) .*(?:exit code: |did not complete successfully).*`)

// explain makes a mistake in the source of what failed in it, and tells what helps against the rest.
func explain(err error, file string) error {
	step := (*docker.StepError)(nil)
	if !errors.As(err, &step) {
		return err
	}
	if base, found := strings.CutPrefix(step.Step, metadata); found {
		if strings.HasPrefix(base, frontend) {
			return hint.Withf(fmt.Errorf("building %s: %w", file, err), "the engine cannot get what its `# syntax=` line names; without that line it uses its own BuildKit")
		}
		return hint.Withf(fmt.Errorf("building %s: the engine does not have the base %s, and cannot pull it: %w", file, base, err),
			"load it into the engine with `docker load`, or build it there with `docker build -t %s`", strings.TrimPrefix(strings.TrimPrefix(base, "docker.io/"), "library/"))
	}
	output := step.Output
	if !exitText.MatchString(step.Reason) || output == "" {
		output = strings.TrimSpace(output + "\n" + step.Reason)
	}
	return &build.SourceError{Command: file + ": " + step.Step, Output: output}
}

// readSecrets reads what each secret is made of.
func readSecrets(dir string, secrets []appfile.Secret, environment func(string) (string, bool)) (map[string][]byte, error) {
	values := map[string][]byte{}
	for _, secret := range secrets {
		if secret.Env != "" {
			value, found := environment(secret.Env)
			if !found {
				return nil, hint.Withf(fmt.Errorf("reading the secret %q: the variable %s is not set", secret.ID, secret.Env), "set it, or change the secret in %s", appfile.Name)
			}
			values[secret.ID] = []byte(value)
			continue
		}
		file := filepath.FromSlash(secret.File)
		if rest, found := strings.CutPrefix(secret.File, "~/"); found {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("reading the secret %q: %w", secret.ID, err)
			}
			file = filepath.Join(home, filepath.FromSlash(rest))
		} else if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		value, err := os.ReadFile(file)
		if err != nil {
			return nil, hint.Withf(fmt.Errorf("reading the secret %q: %w", secret.ID, err), "make the file, or change the secret in %s", appfile.Name)
		}
		values[secret.ID] = value
	}
	return values, nil
}
