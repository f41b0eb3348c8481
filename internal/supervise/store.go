//go:build linux

package supervise

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"slipway.dev/slipway/internal/supervise/wire"
)

// What is in the supervisor's folder, which lives as long as the pod.
const (
	incoming  = "incoming"   // what is being received
	filesDir  = "files"      // the folders that files are synced into, under their paths in the container
	stateFile = "state.json" // what was synced
)

// state is what was synced since the pod began; it outlives a restart of the container.
type state struct {
	Program string            `json:"program,omitempty"` // the file to run, in the folder; "" means the image's
	Hash    string            `json:"hash,omitempty"`    // of that file
	Files   map[string]string `json:"files,omitempty"`   // as in wire.Event
}

func (s state) synced() bool { return s.Program != "" || len(s.Files) > 0 }

// store keeps what is synced. One goroutine at a time receives, and one applies.
type store struct {
	root    *os.Root // nothing is written outside of it, whatever links say
	dir     string
	folders []string // in the container
	now     state
}

func openStore(dir string, folders []string) (*store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &store{root: root, dir: dir, folders: folders, now: state{Files: map[string]string{}}}
	for _, name := range []string{incoming, filesDir} {
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	content, err := root.ReadFile(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &s.now); err != nil {
		return nil, fmt.Errorf("reading %s: %w", stateFile, err)
	}
	if s.now.Files == nil {
		s.now.Files = map[string]string{}
	}
	return s, nil
}

// program is the path of the synced program; "" means the image's.
func (s *store) program() string {
	if s.now.Program == "" {
		return ""
	}
	return path.Join(s.dir, s.now.Program)
}

// received is a change whose bytes are all there, and right.
type received struct {
	change  wire.Change
	program string   // in the root; "" when there is none
	files   []string // in the root, as in change.Files
}

// receive reads the bytes that follow a change into files of their own. Nothing of the app is touched. What is wrong
// with a file's bytes is known only at the end, so that the reader stands behind them in any case; broken says that it
// does not, and that the connection is of no more use.
func (s *store) receive(change wire.Change, from io.Reader) (r received, broken bool, err error) {
	r.change = change
	if change.Program != nil {
		r.program = path.Join(incoming, "program")
		if broken, err = s.take(r.program, 0o755, *change.Program, from); broken {
			return r, true, err
		}
	}
	for i, file := range change.Files {
		name := path.Join(incoming, fmt.Sprint(i))
		r.files = append(r.files, name)
		broken, wrong := s.take(name, fs.FileMode(file.Mode), file.Blob, from)
		if broken {
			return r, true, wrong
		}
		if wrong == nil {
			_, wrong = s.place(file.Path)
		}
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", file.Path, wrong))
		}
	}
	for _, name := range change.Removed {
		_, wrong := s.place(name)
		err = errors.Join(err, wrong)
	}
	return r, false, err
}

// take reads one blob into a file.
func (s *store) take(name string, mode fs.FileMode, blob wire.Blob, from io.Reader) (broken bool, err error) {
	_ = s.root.Remove(name) // left by a connection that broke; it may be one that cannot be written
	file, wrong := s.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	var to io.Writer = io.Discard
	if wrong == nil {
		defer file.Close()
		to = file
	}
	sum := sha256.New()
	written, err := io.Copy(io.MultiWriter(sum, &forgiving{to: to, err: &wrong}), io.LimitReader(from, blob.Size))
	if err == nil && written < blob.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return true, err
	}
	if wrong != nil {
		return false, wrong
	}
	if hex.EncodeToString(sum.Sum(nil)) != blob.SHA256 {
		return false, errors.New("what came is not what was announced: its hash is another")
	}
	return false, file.Chmod(mode) // after the bytes, since the process's mask does not apply to it
}

// forgiving remembers the first error of a writer and takes everything after it, so that the sender is heard out.
type forgiving struct {
	to  io.Writer
	err *error
}

func (f *forgiving) Write(p []byte) (int, error) {
	if *f.err == nil {
		_, *f.err = f.to.Write(p)
	}
	return len(p), nil
}

// place is where a path of the container is in the root.
func (s *store) place(name string) (string, error) {
	for _, folder := range s.folders {
		if strings.HasPrefix(name, strings.TrimSuffix(folder, "/")+"/") {
			return path.Join(filesDir, name), nil
		}
	}
	return "", fmt.Errorf("%s is in none of the folders that this pod can sync (%s)", name, strings.Join(s.folders, ", "))
}

// apply makes what was received the app's. Each file changes at once, not bit by bit; whoever needs them to change all
// together stops the process before. Of an error in the middle the next change, which brings everything again, heals.
func (s *store) apply(r received) error {
	next := state{Program: s.now.Program, Hash: s.now.Hash, Files: map[string]string{}}
	for name, hash := range s.now.Files {
		next.Files[name] = hash
	}
	if r.program != "" && r.change.Program.SHA256 != s.now.Hash {
		next.Hash = r.change.Program.SHA256
		next.Program = "program-" + next.Hash[:12]
		if err := s.root.Rename(r.program, next.Program); err != nil {
			return err
		}
	}
	for i, file := range r.change.Files {
		to, err := s.place(file.Path)
		if err != nil {
			return err
		}
		if err := s.root.MkdirAll(path.Dir(to), 0o755); err != nil {
			return err
		}
		if err := s.root.Rename(r.files[i], to); err != nil {
			return err
		}
		next.Files[file.Path] = file.SHA256
	}
	for _, name := range r.change.Removed {
		to, err := s.place(name)
		if err != nil {
			return err
		}
		if err := s.root.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		next.Files[name] = ""
	}
	return s.remember(next)
}

// remember makes a state the one that a restart of the container finds, and removes the program of the one before.
func (s *store) remember(next state) error {
	content, err := json.Marshal(next)
	if err != nil {
		return err
	}
	fresh := path.Join(incoming, stateFile)
	if err := s.root.WriteFile(fresh, content, 0o644); err != nil {
		return err
	}
	if err := s.root.Rename(fresh, stateFile); err != nil {
		return err
	}
	if old := s.now.Program; old != "" && old != next.Program {
		_ = s.root.Remove(old) // what cannot be removed is in nobody's way
	}
	s.now = next
	return nil
}
