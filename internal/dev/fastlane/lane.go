package fastlane

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/client-go/kubernetes"

	"slipway.dev/slipway/internal/appfile"
	"slipway.dev/slipway/internal/build"
	"slipway.dev/slipway/internal/hint"
	"slipway.dev/slipway/internal/supervise/wire"
)

// Options are what a Lane needs. All but Own must be set.
type Options struct {
	Dir                 string // the app's folder
	WorkloadFile        string // in it, with slashes; "" for one elsewhere
	Namespace, Workload string
	Token               string // that the pods will know
	Client              kubernetes.Interface
	// Dial connects to a port on the loopback interface of a pod.
	Dial func(ctx context.Context, namespace, pod string, port int) (io.ReadWriteCloser, error)
	// Ended is told of a synced program that ended by itself, later than right after a sync.
	Ended func(*CrashError)
}

// Lane is the fast lane of one workload in one cluster. Its methods must not overlap; what it does by itself, keeping
// pods up to date that come later, it does until it is closed.
type Lane struct {
	Options
	app     *appfile.App
	rules   []appfile.Sync
	folders []string
	base    rest // of the image that the chain was given last
	basis   bool // whether base is known

	pods *pods
	// wanted and what comes with it: read by the keeper, too.
	mutex  sync.Mutex
	wanted content
	images map[string]int // generation that an image of the app holds, by digest
}

// content is what a pod is to have on top of its image.
type content struct {
	generation int // counts up with each sync
	program    *file
	files      map[string]file // by path in the container
	removed    map[string]bool
	restart    bool
}

// New opens the lane of a workload, with the rules of app. It begins to watch the workload's pods, until ctx ends or it
// is closed.
func New(ctx context.Context, o Options, app *appfile.App, rules []appfile.Sync) (*Lane, error) {
	list, err := folders(rules)
	if err != nil {
		return nil, err
	}
	l := &Lane{Options: o, app: app, rules: rules, folders: list, images: map[string]int{}}
	l.wanted = content{files: map[string]file{}, removed: map[string]bool{}}
	l.pods = watchPods(ctx, l)
	return l, nil
}

// Close ends everything that the lane does. Pods keep what they have.
func (l *Lane) Close() { l.pods.close() }

// Serves says whether the lane was opened with these rules, so that it can go on.
func (l *Lane) Serves(namespace, workload string, rules []appfile.Sync) bool {
	return l.Namespace == namespace && l.Workload == workload && slices.EqualFunc(l.rules, rules, func(a, b appfile.Sync) bool {
		return a.From == b.From && a.To == b.To && a.Binary == b.Binary && a.Restarts() == b.Restarts()
	})
}

// Reload takes what slipway.yaml says now of everything but the rules.
func (l *Lane) Reload(app *appfile.App) { l.app = app }

// ProgramOnly says whether the rules are for the compiled program alone.
func (l *Lane) ProgramOnly() bool { return len(l.folders) == 0 }

// Param is the value of the workload's param sync for an image that is given to the chain: what the supervisor must run,
// and where files will be synced. It also makes that image the one with which later ones are compared.
func (l *Lane) Param(built *build.Result) (map[string]any, error) {
	file, err := built.Image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	command := []any{}
	for _, word := range slices.Concat(file.Config.Entrypoint, file.Config.Cmd) {
		command = append(command, word)
	}
	if len(command) == 0 {
		return nil, hint.With(errors.New("the image names no program that the supervisor could run"), "give it an ENTRYPOINT or a CMD, or go without --sync")
	}
	digest, err := built.Image.Digest()
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	l.basis = built.Program != nil
	if l.basis {
		if l.base, err = restOf(built.Image, built.Program.Path); err != nil {
			return nil, err
		}
	}
	l.mutex.Lock()
	l.images[digest.String()] = l.wanted.generation
	l.mutex.Unlock()
	folders := []any{}
	for _, folder := range l.folders {
		folders = append(folders, folder)
	}
	return map[string]any{"command": command, "folders": folders, "token": l.Token}, nil
}

// Synced is what a sync did.
type Synced struct {
	What string // in words, such as "the program and 2 files"
	Pods []string
	// Silent is why it is not known that the new process listens; "" when it does, or when none was started.
	Silent string
}

// Unserved is the error of changes that cannot go the fast lane; its text says why.
type Unserved struct{ Why string }

func (u *Unserved) Error() string { return u.Why }

// Try brings changed files (in Dir, with slashes) into the running pods. make builds the app; it is called when that
// is needed, and its error is returned as it is. An *Unserved says that the fast lane is not for these changes, and a
// *CrashError that the new process ended at once. When ctx ends, pods may have the old content or the new.
func (l *Lane) Try(ctx context.Context, files []string, make func(context.Context) (*build.Result, error)) (Synced, error) {
	plan := sort(l.Dir, files, l.rules, ownFiles(l.app, l.WorkloadFile))
	if plan.why != "" {
		return Synced{}, &Unserved{plan.why}
	}
	fresh := content{program: nil, files: map[string]file{}, restart: plan.restart}
	if plan.build {
		program, err := l.program(ctx, make)
		if err != nil {
			return Synced{}, err
		}
		fresh.program = program
	}
	for target, name := range plan.files {
		one, err := l.load(target, filepath.Join(l.Dir, filepath.FromSlash(name)))
		if err != nil {
			return Synced{}, &Unserved{err.Error()}
		}
		fresh.files[target] = one
	}
	l.want(fresh, plan.removed)
	names, silent, err := l.pods.bring(ctx)
	if err != nil {
		return Synced{}, err
	}
	return Synced{What: describe(plan, fresh), Pods: names, Silent: silent}, nil
}

// program builds, and makes sure that the program is all that is new in the image.
func (l *Lane) program(ctx context.Context, make func(context.Context) (*build.Result, error)) (*file, error) {
	built, err := make(ctx)
	if err != nil {
		return nil, err
	}
	if built.Program == nil || !l.basis {
		return nil, &Unserved{"this builder makes no program of which it tells"}
	}
	now, err := restOf(built.Image, built.Program.Path)
	if err != nil {
		return nil, err
	}
	if why := l.base.differs(now); why != "" {
		return nil, &Unserved{why}
	}
	program, err := l.load(built.Program.Path, built.Program.File)
	if err != nil {
		return nil, err
	}
	return &program, nil
}

// load reads a file into memory, so that pods which come later get the same.
func (l *Lane) load(target, name string) (file, error) {
	info, err := os.Stat(name)
	if err != nil {
		return file{}, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return file{}, err
	}
	// Everybody may read what the image's user must: git keeps no more than whether a file is a program.
	return inMemory(target, uint32(info.Mode().Perm()|0o444), text), nil
}

func inMemory(target string, mode uint32, text []byte) file {
	sum := sha256.Sum256(text)
	return file{path: target, mode: mode, blob: blob{
		Blob: wire.Blob{Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])},
		open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
	}}
}

// want adds to what pods are to have.
func (l *Lane) want(fresh content, removed []string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	next := content{
		generation: l.wanted.generation + 1, program: l.wanted.program, restart: l.wanted.restart || fresh.restart,
		files: maps.Clone(l.wanted.files), removed: maps.Clone(l.wanted.removed),
	}
	if fresh.program != nil {
		next.program = fresh.program
	}
	for target, one := range fresh.files {
		next.files[target] = one
		delete(next.removed, target)
	}
	for _, target := range removed {
		next.removed[target] = true
		delete(next.files, target)
	}
	l.wanted = next
}

func describe(p plan, c content) string {
	var parts []string
	if c.program != nil {
		parts = append(parts, fmt.Sprintf("the program (%.1f MB)", float64(c.program.Size)/1e6))
	}
	switch n := len(p.files); {
	case n == 1:
		parts = append(parts, "1 file")
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d files", n))
	}
	if n := len(p.removed); n > 0 {
		parts = append(parts, fmt.Sprintf("%d removed", n))
	}
	return strings.Join(parts, ", ")
}

// Arrived is called when the chain has brought an image into a Ready pod. It returns, as sentences, in what that image
// differs from what was synced since the last time; none when it is the same. Pods of that very image that had been
// synced before, and so may hold something else, get what the image holds.
func (l *Lane) Arrived(ctx context.Context, image v1.Image) ([]string, error) {
	digest, err := image.Digest()
	if err != nil {
		return nil, fmt.Errorf("reading the image: %w", err)
	}
	l.mutex.Lock()
	wanted := l.wanted
	l.mutex.Unlock()
	names := slices.Concat(slices.Collect(maps.Keys(wanted.files)), slices.Collect(maps.Keys(wanted.removed)))
	if wanted.program != nil {
		names = append(names, wanted.program.path)
	}
	holds, err := find(image, names)
	if err != nil {
		return nil, err
	}
	differences := compare(wanted, holds)
	l.mutex.Lock()
	l.images[digest.String()] = l.wanted.generation
	l.wanted = content{generation: l.wanted.generation, files: map[string]file{}, removed: map[string]bool{}}
	l.mutex.Unlock()
	return differences, l.pods.settle(ctx, digest.String(), image)
}

// compare says in what an image is not what was synced.
func compare(wanted content, holds map[string]found) []string {
	var differences []string
	check := func(one file, what string) {
		in, there := holds[one.path]
		switch {
		case !there:
			differences = append(differences, fmt.Sprintf("%s was synced, and the chain's image does not have it", what))
		case in.SHA256 != one.SHA256:
			differences = append(differences, fmt.Sprintf("%s: synced was sha256:%.12s, the chain's image has sha256:%.12s", what, one.SHA256, in.SHA256))
		}
	}
	if wanted.program != nil {
		check(*wanted.program, "the program "+wanted.program.path)
	}
	for _, target := range slices.Sorted(maps.Keys(wanted.files)) {
		check(wanted.files[target], target)
	}
	for _, target := range slices.Sorted(maps.Keys(wanted.removed)) {
		if _, there := holds[target]; there {
			differences = append(differences, target+" was removed, and the chain's image still has it")
		}
	}
	return differences
}
