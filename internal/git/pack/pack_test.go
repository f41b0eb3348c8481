package pack

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

var plenty = Limits{Packed: 1 << 30, Unpacked: 1 << 30, Objects: 1 << 20}

// git runs the real program in a folder.
func git(t *testing.T, dir, input string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "safe.directory=*", "-C", dir}, arguments...)...)
	command.Stdin = strings.NewReader(input)
	command.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir)
	var failed bytes.Buffer
	command.Stderr = &failed
	out, err := command.Output()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", arguments, err, failed.String())
	}
	return strings.TrimSpace(string(out))
}

func noise(seed byte, size int) []byte {
	made := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(made)
	return made
}

func write(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// repository makes one with files that differ a little from commit to commit: small ones, and large ones.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	git(t, dir, "", "init", "-q", "-b", "main")
	small, large := noise(1, 20_000), noise(2, LargeObject+4000)
	for i := range 12 {
		copy(small[i*1000:], fmt.Sprint("commit ", i))
		write(t, dir, "small", small)
		if i%4 == 0 {
			copy(large[i*1000:], fmt.Sprint("commit ", i))
			write(t, dir, "large", large)
			write(t, dir, fmt.Sprint("half", i), large[:len(large)/2]) // made of what is large, and small itself
		}
		git(t, dir, "", "add", ".")
		git(t, dir, "", "commit", "-q", "-m", fmt.Sprint(i))
	}
	git(t, dir, "", "tag", "-a", "-m", "one", "v1")
	return dir
}

// objects lists what a repository's references lead to.
func objects(t *testing.T, dir string) string {
	return git(t, dir, "", "rev-list", "--objects", "--no-object-names", "--all")
}

// TestStore compares with git itself: both forms of differences, the index to the byte, and every object.
func TestStore(t *testing.T) {
	dir := repository(t)
	list := objects(t, dir)
	for name, arguments := range map[string][]string{"by offset": {"--delta-base-offset"}, "by name": nil} {
		t.Run(name, func(t *testing.T) {
			made := filepath.Join(t.TempDir(), "made")
			id := git(t, dir, list, append([]string{"pack-objects", "-q", "--window=30", "--depth=40", made}, arguments...)...)
			want, err := os.ReadFile(made + "-" + id + ".idx")
			if err != nil {
				t.Fatal(err)
			}
			packed, err := os.Open(made + "-" + id + ".pack")
			if err != nil {
				t.Fatal(err)
			}
			defer packed.Close()
			if kinds := git(t, dir, "", "verify-pack", "-v", made+"-"+id+".idx"); !strings.Contains(kinds, "chain length = 2") {
				t.Fatalf("git made no differences:\n%s", kinds)
			}
			into := t.TempDir()
			stored, err := Store(t.Context(), into, packed, plenty)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := packed.Stat()
			if stored.Objects != len(strings.Fields(list)) || stored.Packed != info.Size() || stored.Unpacked < 3*int64(LargeObject) {
				t.Errorf("stored %+v", stored)
			}
			got, err := os.ReadFile(filepath.Join(into, "objects", "pack", "pack-"+stored.Name.String()+".idx"))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the index is not git's: %d bytes of %d, %v", len(got), len(want), err)
			}
			repo := Open(into)
			defer repo.Close()
			whole := 0
			for id := range strings.FieldsSeq(list) {
				found, err := repo.EncodedObject(plumbing.AnyObject, plumbing.NewHash(id))
				if err != nil {
					t.Fatalf("%s: %v", id, err)
				}
				if found.Hash().String() != id || plumbing.ComputeHash(found.Type(), read(t, found)).String() != id {
					t.Errorf("%s is another %s", id, found.Type())
				}
				if repo.loose[plumbing.NewHash(id)] {
					whole++
				}
			}
			// Of the three large files one is whole in the pack; of the three that are made of them it may be one.
			if whole < 4 {
				t.Errorf("%d objects are stored whole", whole)
			}
			if left, _ := filepath.Glob(filepath.Join(into, "tmp_*")); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
		})
	}
}

func read(t *testing.T, found plumbing.EncodedObject) []byte {
	t.Helper()
	reader, err := found.Reader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	content, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// builder makes packs that git would not.
type builder struct {
	bytes.Buffer
	count   int
	offsets []int
}

// add adds an object that says to have a size; before is what stands between its header and its content.
func (b *builder) add(kind plumbing.ObjectType, size int64, before []byte, content io.Reader) {
	b.offsets = append(b.offsets, b.Len()+12)
	b.count++
	header := []byte{byte(kind)<<4 | byte(size&0x0f)}
	for size >>= 4; size > 0; size >>= 7 {
		header[len(header)-1] |= 0x80
		header = append(header, byte(size&0x7f))
	}
	b.Write(header)
	b.Write(before)
	zip := zlib.NewWriter(b)
	_, _ = io.Copy(zip, content)
	_ = zip.Close()
}

func (b *builder) blob(content []byte) {
	b.add(plumbing.BlobObject, int64(len(content)), nil, bytes.NewReader(content))
}

// back is the place of an entry as a later one, that comes next, names it.
func (b *builder) back(entry int) []byte {
	back := b.Len() + 12 - b.offsets[entry]
	out := []byte{byte(back & 0x7f)}
	for back >>= 7; back > 0; back >>= 7 {
		back--
		out = append([]byte{0x80 | byte(back&0x7f)}, out...)
	}
	return out
}

// times is a difference: the base, of a size, n times.
func times(size, n int) []byte {
	delta := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(size)), uint64(size*n))
	for range n {
		for at := 0; at < size; at += 1 << 23 {
			part := min(size-at, 1<<23)
			delta = append(delta, 0xff, byte(at), byte(at>>8), byte(at>>16), byte(at>>24), byte(part), byte(part>>8), byte(part>>16))
		}
	}
	return delta
}

func (b *builder) pack() []byte {
	out := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("PACK"), 2), uint32(b.count))
	return sealed(append(out, b.Bytes()...))
}

func sealed(pack []byte) []byte {
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

// zeros reads as that many zeros.
func zeros(size int64) io.Reader { return io.LimitReader(zero{}, size) }

type zero struct{}

func (zero) Read(to []byte) (int, error) { clear(to); return len(to), nil }

// onDisk is how many bytes the files in a folder have.
func onDisk(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			info, failed := entry.Info()
			if failed != nil {
				return failed
			}
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestBombs: packs of a few kilobytes that unpack to much are refused before that.
func TestBombs(t *testing.T) {
	limits := Limits{Packed: 1 << 18, Unpacked: 1 << 20, Objects: 100}
	for name, test := range map[string]struct {
		make func(b *builder)
		want string
	}{
		"a file":                              {func(b *builder) { b.add(plumbing.BlobObject, 8<<20, nil, zeros(8<<20)) }, "files and folders of more than 1 MiB, unpacked"},
		"a file that says to be of terabytes": {func(b *builder) { b.add(plumbing.BlobObject, 1<<50, nil, zeros(8<<20)) }, "more than 1 MiB"},
		"a file that says to be small":        {func(b *builder) { b.add(plumbing.BlobObject, 10, nil, zeros(8<<20)) }, "has not the size that it says"},
		"many files": {func(b *builder) {
			for range 9 {
				b.add(plumbing.BlobObject, 1<<17, nil, zeros(1<<17))
			}
		}, "more than 1 MiB"},
		"a chain of differences": {func(b *builder) {
			b.blob(make([]byte, 1<<10))
			for size, i := 1<<10, 0; i < 6; i++ {
				difference := times(size, 16)
				b.add(plumbing.OFSDeltaObject, int64(len(difference)), b.back(i), bytes.NewReader(difference))
				size *= 16
			}
		}, "more than 1 MiB"},
		"a difference by name": {func(b *builder) {
			base := make([]byte, 1<<16)
			b.blob(base)
			id, difference := plumbing.ComputeHash(plumbing.BlobObject, base), times(len(base), 4000)
			b.add(plumbing.REFDeltaObject, int64(len(difference)), id[:], bytes.NewReader(difference))
		}, "more than 1 MiB"},
		"instructions": {func(b *builder) {
			b.blob([]byte("x"))
			b.add(plumbing.OFSDeltaObject, 8<<20, b.back(0), zeros(8<<20))
		}, "more than 1 MiB"},
		"many objects": {func(b *builder) {
			for i := range 101 {
				b.blob([]byte{byte(i)})
			}
		}, "more than 100 files"},
		"a large pack": {func(b *builder) { b.blob(noise(1, 1<<19)) }, "more than 256 KiB, compressed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &builder{}
			test.make(b)
			packed := b.pack()
			dir := t.TempDir()
			stored, err := Store(t.Context(), dir, bytes.NewReader(packed), limits)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Store = %+v, %v; want %q", stored, err, test.want)
			}
			if limited := new(LimitError); strings.Contains(test.want, "more than") != errors.As(err, &limited) {
				t.Errorf("the error is a %T", err)
			}
			if stored.Unpacked > limits.Unpacked {
				t.Errorf("%d bytes were unpacked, and %d may be", stored.Unpacked, limits.Unpacked)
			}
			if size := onDisk(t, dir); size > limits.Packed {
				t.Errorf("%d bytes of %d were written to the disk", size, len(packed))
			}
		})
	}
}

// TestLargeFolder : what is read into memory to be understood must be small, whole or made by a difference.
func TestLargeFolder(t *testing.T) {
	whole, made := &builder{}, &builder{}
	whole.add(plumbing.TreeObject, maxListing+1, nil, zeros(maxListing+1))
	made.add(plumbing.TreeObject, 1<<20, nil, zeros(1<<20))
	difference := times(1<<20, 17)
	made.add(plumbing.OFSDeltaObject, int64(len(difference)), made.back(0), bytes.NewReader(difference))
	for _, b := range []*builder{whole, made} {
		if _, err := Store(t.Context(), t.TempDir(), bytes.NewReader(b.pack()), plenty); err == nil || !strings.Contains(err.Error(), "a folder, a commit or a tag of more than 16 MiB") {
			t.Errorf("Store = %v", err)
		}
	}
}

// TestMemory : of a chain of objects that are larger than what may be held in memory, together, the rest is on the disk.
func TestMemory(t *testing.T) {
	b := &builder{}
	const size = LargeObject / 2
	b.blob(noise(1, size))
	same := times(size, 1)
	const depth = 2 * stackMemory / size
	for i := range depth {
		difference := append(bytes.Clone(same[:len(same)-8]), same[len(same)-8:]...)
		b.add(plumbing.OFSDeltaObject, int64(len(difference)), b.back(i), bytes.NewReader(difference))
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "in.pack")
	write(t, dir, "in.pack", b.pack())
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := &contents{limits: plenty}
	if _, err := found.scan(t.Context(), newInput(file, io.Discard, 1<<30)); err != nil {
		t.Fatal(err)
	}
	work := newResolver(found, file, dir)
	if err := work.resolve(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer work.held.close()
	if work.held.held != 0 || work.held.top != 0 {
		t.Errorf("%d bytes in memory and %d on the disk were not given back", work.held.held, work.held.top)
	}
	info, err := work.held.file.Stat()
	if err != nil || info.Size() < stackMemory {
		t.Errorf("%d bytes went to the disk (%v), want at least %d", info.Size(), err, stackMemory)
	}
}

// TestDamaged changes every byte of a small pack, and the checksum with it: none may do more than be refused.
func TestDamaged(t *testing.T) {
	b := &builder{}
	base := []byte("hello, world")
	b.blob(base)
	difference := times(len(base), 3)
	b.add(plumbing.OFSDeltaObject, int64(len(difference)), b.back(0), bytes.NewReader(difference))
	id := plumbing.ComputeHash(plumbing.BlobObject, base)
	b.add(plumbing.REFDeltaObject, int64(len(difference)), id[:], bytes.NewReader(difference))
	packed := b.pack()
	if stored, err := Store(t.Context(), t.TempDir(), bytes.NewReader(packed), plenty); err != nil || stored.Objects != 3 {
		t.Fatalf("the pack itself: %+v, %v", stored, err)
	}
	limits := Limits{Packed: 1 << 20, Unpacked: 1 << 20, Objects: 100}
	refused, dir := 0, t.TempDir()
	for at := range len(packed) - 20 {
		for _, change := range []byte{0x01, 0x80, 0xff} {
			damaged := bytes.Clone(packed[:len(packed)-20])
			damaged[at] ^= change
			if _, err := Store(t.Context(), dir, bytes.NewReader(sealed(damaged)), limits); err != nil {
				refused++
			}
		}
		if _, err := Store(t.Context(), dir, bytes.NewReader(packed[:at]), limits); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the first %d bytes: %v", at, err)
		}
	}
	if most := 3 * (len(packed) - 20); refused < most*9/10 {
		t.Errorf("%d of %d damaged packs were refused", refused, most)
	}
	if _, err := Store(t.Context(), dir, bytes.NewReader(append(bytes.Clone(packed), 0)), limits); err == nil || !strings.Contains(err.Error(), "more behind its end") {
		t.Errorf("with a byte more: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Store(ctx, dir, bytes.NewReader(packed), limits); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}
