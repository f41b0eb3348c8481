package docker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	control "github.com/moby/buildkit/api/services/control"
)

// keptOutput is how much of what a step prints is kept for its error: the end of it, which says why.
const keptOutput = 64 << 10

// trace follows a build in the engine's stream.
type trace struct {
	progress func(step, line string)
	names    map[string]string // of steps, by digest
	begun    map[string]bool
	output   map[string][]byte
	failed   *StepError
}

// followBuild reads the engine's answer to a build to its end and returns the identifier of the image. Its form, JSON
// messages of which some carry BuildKit's status, is that of the engine's API 1.39 and later.
func followBuild(stream io.Reader, progress func(step, line string)) (string, error) {
	t := &trace{progress: progress, names: map[string]string{}, begun: map[string]bool{}, output: map[string][]byte{}}
	decoder := json.NewDecoder(bufio.NewReader(stream))
	id := ""
	for {
		var message struct {
			ID    string          `json:"id"`
			Aux   json.RawMessage `json:"aux"`
			Error string          `json:"error"`
		}
		switch err := decoder.Decode(&message); {
		case errors.Is(err, io.EOF) && id == "":
			return "", errors.New("the engine ended the build without an image")
		case errors.Is(err, io.EOF):
			return id, nil
		case err != nil:
			return "", fmt.Errorf("following the build: %w", err)
		}
		switch {
		case message.Error != "":
			if t.failed != nil {
				return "", t.failed
			}
			return "", &StepError{Step: "Dockerfile", Reason: strings.TrimPrefix(message.Error, "failed to solve with frontend dockerfile.v0: ")}
		case message.ID == "moby.buildkit.trace":
			if err := t.read(message.Aux); err != nil {
				return "", fmt.Errorf("following the build: %w", err)
			}
		case message.ID == "moby.image.id":
			var image struct{ ID string }
			if err := json.Unmarshal(message.Aux, &image); err != nil {
				return "", fmt.Errorf("following the build: %w", err)
			}
			id = image.ID
		}
	}
}

func (t *trace) read(aux json.RawMessage) error {
	var packed []byte
	if err := json.Unmarshal(aux, &packed); err != nil {
		return err
	}
	var status control.StatusResponse
	if err := status.UnmarshalVT(packed); err != nil {
		return err
	}
	for _, step := range status.Vertexes {
		t.names[step.Digest] = step.Name
		if step.Started != nil && !t.begun[step.Digest] {
			t.begun[step.Digest] = true
			t.progress(step.Name, "")
		}
	}
	for _, log := range status.Logs {
		t.keep(log.Vertex, log.Msg)
	}
	for _, step := range status.Vertexes {
		// Steps that were running beside the one that failed end as canceled.
		if step.Error != "" && !strings.Contains(step.Error, "context canceled") {
			t.failed = &StepError{Step: step.Name, Output: strings.TrimSpace(string(t.output[step.Digest])), Reason: step.Error}
		}
	}
	return nil
}

func (t *trace) keep(step string, text []byte) {
	kept := append(t.output[step], text...)
	if len(kept) > keptOutput {
		kept = kept[len(kept)-keptOutput:]
	}
	t.output[step] = kept
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			t.progress(t.names[step], line)
		}
	}
}
