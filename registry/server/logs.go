package server

import (
	"io"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// CaptureLibraryLogs sends distribution's warnings and errors to logger and nowhere else. distribution writes
// to logrus's one global logger and offers no other way, so this changes the whole process: call it once,
// from main. What is said about single requests is kept at debug level, since distribution calls every probe
// for a layer that is not there yet an error.
func CaptureLibraryLogs(logger *slog.Logger) {
	global := logrus.StandardLogger()
	global.SetOutput(io.Discard)
	global.SetLevel(logrus.WarnLevel)
	global.ReplaceHooks(logrus.LevelHooks{})
	global.AddHook(hook{logger})
}

type hook struct{ logger *slog.Logger }

// Levels is all: the global level has chosen already.
func (hook) Levels() []logrus.Level { return logrus.AllLevels }

// Fire passes one entry on.
func (h hook) Fire(entry *logrus.Entry) error {
	attributes := make([]any, 0, len(entry.Data))
	for key, value := range entry.Data {
		attributes = append(attributes, slog.Any(key, value))
	}
	_, request := entry.Data["http.request.id"]
	switch {
	case request:
		h.logger.Debug(entry.Message, attributes...)
	case entry.Level <= logrus.ErrorLevel:
		h.logger.Error(entry.Message, attributes...)
	default:
		h.logger.Warn(entry.Message, attributes...)
	}
	return nil
}
