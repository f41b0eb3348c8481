package pack

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

// maxInstructions is how many bytes of instructions, of one difference after the other, are held in memory by who reads
// an object that is made by them.
const maxInstructions = 8 << 20

// resolver makes the objects that stand in a pack as differences to others, to know what they are.
type resolver struct {
	*contents
	pack *os.File
	dir  string // the repository's
	held stack
	zip  inflater
	made int // differences that were resolved

	instructions *bufio.Reader
	result       *bufio.Writer
}

func newResolver(found *contents, pack *os.File, dir string) *resolver {
	return &resolver{contents: found, pack: pack, dir: dir, held: stack{dir: dir}, instructions: bufio.NewReader(nil), result: bufio.NewWriterSize(nil, 32<<10)}
}

// chain is what the differences that lead to an object are together.
type chain struct {
	kind         plumbing.ObjectType
	depth        int
	instructions int64
	// large : it leads over an object that is not to be held in memory.
	large bool
}

// resolve goes through the differences from those to whole objects on, so that each is made once, and no more objects are
// held than a chain has.
func (r *resolver) resolve(ctx context.Context) error {
	differences := 0
	for i := range r.entries {
		if r.entries[i].kind.IsDelta() {
			differences++
		}
	}
	for i := range r.entries {
		of := &r.entries[i]
		if of.kind.IsDelta() || of.child == none && !r.awaited(of.hash) {
			continue
		}
		whole, err := r.held.push(of.size)
		if err != nil {
			return err
		}
		from, err := r.zip.section(r.pack, of)
		if err != nil {
			return err
		}
		if _, err := io.Copy(whole.writer, from); err != nil {
			return err
		}
		if err := r.children(ctx, of, whole, chain{kind: of.kind, large: of.size > LargeObject}); err != nil {
			return err
		}
		whole.pop()
	}
	if r.made != differences {
		return damaged("%d of its objects are differences to objects that it does not hold", differences-r.made)
	}
	return nil
}

func (r *resolver) awaited(id plumbing.Hash) bool {
	_, is := r.waiting[id]
	return is
}

// children makes all that is made of an object.
func (r *resolver) children(ctx context.Context, base *entry, whole *content, above chain) error {
	if above.depth == maxChain {
		return damaged("an object is made of more than %d differences", maxChain)
	}
	named := none
	if first, is := r.waiting[base.hash]; is {
		named = first
		delete(r.waiting, base.hash)
	}
	for _, first := range []int32{base.child, named} {
		for at := first; at != none; at = r.entries[at].next {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.child(ctx, &r.entries[at], whole, above); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *resolver) child(ctx context.Context, of *entry, base *content, above chain) error {
	if above.kind != plumbing.BlobObject && of.size > maxListing {
		return &LimitError{Of: Listings, Limit: maxListing}
	}
	whole, err := r.held.push(of.size)
	if err != nil {
		return err
	}
	hasher := plumbing.NewHasher(above.kind, of.size)
	instructions, err := r.apply(of, base, io.MultiWriter(whole.writer, hasher))
	if err != nil {
		return err
	}
	of.hash = hasher.Sum()
	r.made++
	next := chain{kind: above.kind, depth: above.depth + 1, instructions: above.instructions + instructions}
	next.large = above.large || of.size > LargeObject || next.instructions > maxInstructions
	if next.large {
		if err := r.store(of.hash, whole, next.kind); err != nil {
			return err
		}
	}
	if err := r.children(ctx, of, whole, next); err != nil {
		return err
	}
	whole.pop()
	return nil
}

// apply writes what a difference makes of its base, and returns how many bytes of instructions it has.
func (r *resolver) apply(of *entry, base *content, to io.Writer) (int64, error) {
	inflated, err := r.zip.section(r.pack, of)
	if err != nil {
		return 0, err
	}
	counted := &counter{from: inflated}
	in, out := r.instructions, r.result
	in.Reset(counted)
	out.Reset(to)
	before, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, err
	}
	after, err := binary.ReadUvarint(in)
	if err != nil {
		return 0, err
	}
	if before != uint64(base.size) || after != uint64(of.size) { //nolint:gosec // sizes are not negative
		return 0, damaged("a difference is one to another object")
	}
	left, source := of.size, base.reader()
	for left > 0 {
		code, err := in.ReadByte()
		if err != nil {
			return 0, err
		}
		var n int64
		switch {
		case code&0x80 != 0:
			var offset int64
			if offset, n, err = readCopy(in, code); err != nil {
				return 0, err
			}
			if offset+n > base.size || n > left {
				return 0, damaged("a difference leads out of its object")
			}
			_, err = io.Copy(out, io.NewSectionReader(source, offset, n))
		case code != 0:
			if n = int64(code); n > left {
				return 0, damaged("a difference makes more than it says")
			}
			_, err = io.CopyN(out, in, n)
		default:
			return 0, damaged("a difference has an unknown instruction")
		}
		if err != nil {
			return 0, err
		}
		left -= n
	}
	if _, err := in.ReadByte(); err == nil {
		return 0, damaged("a difference makes more than it says")
	} else if err != io.EOF { //nolint:errorlint // what a reader ends with
		return 0, err
	}
	return counted.read, out.Flush()
}

// readCopy reads from where and how much is to be copied: of the code's bits each says whether a byte of that stands
// there.
func readCopy(in io.ByteReader, code byte) (offset, size int64, err error) {
	for bit := range 7 {
		if code&(1<<bit) == 0 {
			continue
		}
		next, err := in.ReadByte()
		if err != nil {
			return 0, 0, err
		}
		if bit < 4 {
			offset |= int64(next) << (8 * bit)
		} else {
			size |= int64(next) << (8 * (bit - 4))
		}
	}
	if size == 0 {
		size = 0x10000
	}
	return offset, size, nil
}

type counter struct {
	from io.Reader
	read int64
}

func (c *counter) Read(to []byte) (int, error) {
	n, err := c.from.Read(to)
	c.read += int64(n)
	return n, err
}

// store writes an object whole, in a file of its own, beside the pack that has it as a difference: who reads it from the
// pack has to hold all that it is made of in memory.
func (r *resolver) store(id plumbing.Hash, whole *content, kind plumbing.ObjectType) error {
	path := loosePath(r.dir, id)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	writer := objfile.NewWriter(file)
	if err := writer.WriteHeader(kind, whole.size); err != nil {
		return err
	}
	if _, err := io.Copy(writer, whole.reader()); err != nil {
		return err
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return file.Close()
}

func loosePath(dir string, id plumbing.Hash) string {
	name := id.String()
	return filepath.Join(dir, "objects", name[:2], name[2:])
}
