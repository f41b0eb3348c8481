package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/ui"
)

// session is one run of a verb that shows progress: what it tells the user, and what it tells the maintainer.
// Progress and the log are two things: the log is a file that is only mentioned when the verb fails.
type session struct {
	ui.Display
	log  *slog.Logger
	path string // the log file; "" when there is none
	file *os.File
	stop func() bool
}

// sessionOptions say what a session is for.
type sessionOptions struct {
	verb    string
	name    environment.Name
	mode    ui.Mode
	verbose bool
	// slowEnd says that the verb may take a while to end when it is interrupted.
	slowEnd bool
	// display makes what shows the progress; nil means ui.NewProgress.
	display func(ui.Mode) ui.Display
}

// newSession opens the log file, <state>/<environment>/<verb>.log, truncated, and starts the display. A log that
// cannot be written is no reason to fail.
func newSession(ctx context.Context, streams *ui.Streams, o sessionOptions) *session {
	s := &session{}
	var handlers []slog.Handler
	if err := s.open(filepath.Join(string(o.name), o.verb+".log")); err == nil {
		handlers = append(handlers, slog.NewTextHandler(s.file, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if o.verbose {
		handlers = append(handlers, slog.NewTextHandler(streams.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if o.mode == ui.Auto {
			o.mode = ui.Plain // log lines would be written over live ones
		}
	}
	s.log = slog.New(slog.NewMultiHandler(handlers...))
	bridgeLibraries(s.log)
	if o.display == nil {
		o.display = func(mode ui.Mode) ui.Display { return ui.NewProgress(streams, mode) }
	}
	s.Display = o.display(o.mode)
	s.stop = context.AfterFunc(ctx, func() {
		if o.slowEnd {
			s.Warn("stopping; press Ctrl-C again to end at once")
		}
	})
	return s
}

func (s *session) open(name string) error {
	dir, err := stateDir()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	s.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	s.path = path
	return nil
}

// end closes the display and the log, and makes err name the log file.
func (s *session) end(err error) error {
	s.stop()
	s.Display.Close()
	if err != nil {
		s.log.Error("the command failed", "error", err)
	}
	bridgeLibraries(slog.New(slog.DiscardHandler))
	if s.file != nil {
		_ = s.file.Close() // what matters has been written or not by now
	}
	if err == nil || s.path == "" {
		return err
	}
	return &loggedError{err: err, path: s.path}
}

// loggedError is an error about which there is more in a log file.
type loggedError struct {
	err  error
	path string
}

func (e *loggedError) Error() string { return e.err.Error() }
func (e *loggedError) Unwrap() error { return e.err }

// removeLogs removes the log files of an environment, and the folder of all of them when it was the last.
func removeLogs(name environment.Name) error {
	dir, err := stateDir()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, string(name))); err != nil {
		return err
	}
	_ = os.Remove(dir) // fails while another environment's are in it, which is right
	return nil
}

// stateDir is where log files go: $XDG_STATE_HOME/slipway, else ~/.local/state/slipway (Windows: %LocalAppData%\slipway).
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "slipway"), nil
	}
	if runtime.GOOS == "windows" {
		dir := os.Getenv("LocalAppData")
		if dir == "" {
			return "", errors.New("%LocalAppData% is not set")
		}
		return filepath.Join(dir, "slipway"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "slipway"), nil
}

// bridgeLibraries sends what libraries log by themselves to the log, so that they never write over the progress:
// client-go's klog, logrus (Docker's and containerd's packages), and Go's own log package.
func bridgeLibraries(log *slog.Logger) {
	klog.SetSlogLogger(log)
	slog.SetDefault(log) // this also redirects package log
	logrus.SetOutput(io.Discard)
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	logrus.AddHook(logrusHook{log})
}

// logrusHook hands logrus's entries to the log.
type logrusHook struct{ log *slog.Logger }

func (logrusHook) Levels() []logrus.Level { return logrus.AllLevels }

func (h logrusHook) Fire(entry *logrus.Entry) error {
	switch {
	case entry.Level <= logrus.ErrorLevel:
		h.log.Error(entry.Message)
	case entry.Level == logrus.WarnLevel:
		h.log.Warn(entry.Message)
	case entry.Level == logrus.InfoLevel:
		h.log.Info(entry.Message)
	default:
		h.log.Debug(entry.Message)
	}
	return nil
}
