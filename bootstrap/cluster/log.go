package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"sigs.k8s.io/kind/pkg/exec"
	kindlog "sigs.k8s.io/kind/pkg/log"

	"slipway.dev/slipway/internal/hint"
)

// logBridge hands kind's messages to the log, and the ordinary ones to whoever shows progress.
type logBridge struct {
	log *slog.Logger
	say func(string)
}

var _ kindlog.Logger = (*logBridge)(nil)

func (b *logBridge) Warn(message string)  { b.log.Warn(message) }
func (b *logBridge) Error(message string) { b.log.Error(message) }
func (b *logBridge) Warnf(format string, arguments ...any) {
	b.log.Warn(fmt.Sprintf(format, arguments...))
}
func (b *logBridge) Errorf(format string, arguments ...any) {
	b.log.Error(fmt.Sprintf(format, arguments...))
}

func (b *logBridge) V(level kindlog.Level) kindlog.InfoLogger {
	return infoBridge{bridge: b, level: level}
}

type infoBridge struct {
	bridge *logBridge
	level  kindlog.Level
}

func (i infoBridge) Enabled() bool { return i.level <= 1 }

func (i infoBridge) Infof(format string, arguments ...any) { i.Info(fmt.Sprintf(format, arguments...)) }

func (i infoBridge) Info(message string) {
	if !i.Enabled() {
		return
	}
	i.bridge.log.Debug(strings.TrimSpace(message))
	if i.level == 0 && i.bridge.say != nil {
		if step := stepName(message); step != "" {
			i.bridge.say(step)
		}
	}
}

// stepName reads what kind is doing out of its status line (" • Preparing nodes 📦  ...") and drops the pictures
// and the lines that end a step.
func stepName(message string) string {
	trimmed := strings.TrimSpace(message)
	rest, found := strings.CutPrefix(trimmed, "•")
	if !found {
		return ""
	}
	words := strings.FieldsFunc(rest, func(r rune) bool { return r > 0x7e || r == ' ' })
	return strings.ToLower(strings.TrimRight(strings.Join(words, " "), " ."))
}

// describe adds the output of the command that failed inside kind to its error.
func describe(err error) error {
	run := exec.RunErrorForError(err)
	if run == nil {
		return err
	}
	return errors.Join(err, errors.New(lastLines(string(run.Output), 12)))
}

// creationError is the error of a creation that failed: kind's words, the failed command's output, the node's logs.
func creationError(err error, logs string) error {
	described := describe(err)
	if logs != "" {
		described = errors.Join(described, errors.New("the node's last lines:\n"+lastLines(logs, 15)))
	}
	described = fmt.Errorf("creating the kind cluster: %w", described)
	if strings.Contains(err.Error(), nodeExists) {
		// We look for a node by its name first, and there was none: after an `up` that was killed the engine takes some
		// seconds to finish or drop the node that it was making, and lists it meanwhile.
		return hint.With(described, "an `up` that was ended just now leaves the engine busy with its node: run `slipway up` again in a few seconds")
	}
	return described
}

// nodeExists is what kind v0.33 says (pkg/cluster/internal/create) where the engine lists a node of the cluster's name.
const nodeExists = "node(s) already exist for a cluster with the name"

func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > count {
		lines = lines[len(lines)-count:]
	}
	return strings.Join(lines, "\n")
}
