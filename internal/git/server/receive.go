package server

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"slipway.dev/slipway/internal/git/events"
)

// command moves one reference.
type command struct {
	ref      plumbing.ReferenceName
	old, new plumbing.Hash // zero: it is not there before, or after
	refusal  string        // "" when it was done, else why not in git's words
}

// push is what a client sends to move references.
type push struct {
	commands []*command
	caps     []string
}

func (p *push) has(capability string) bool { return slices.Contains(p.caps, capability) }

// sendsPack says whether a pack follows: one that only deletes sends none.
func (p *push) sendsPack() bool {
	return slices.ContainsFunc(p.commands, func(c *command) bool { return !c.new.IsZero() })
}

// readPush reads the commands, up to the pack (gitprotocol-pack, "reference update request").
func readPush(lines *pktline.Scanner) (*push, error) {
	sent := &push{}
	for lines.Scan() {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		if line == "" {
			return sent, nil
		}
		if len(sent.commands) > maxLines {
			return nil, errors.New("the push names too many references")
		}
		if strings.HasPrefix(line, "shallow ") {
			continue // whether the new commits lead to what is here is looked at in any case
		}
		text, caps, first := strings.Cut(line, "\x00")
		if first {
			sent.caps = strings.Fields(caps)
		}
		fields := strings.SplitN(text, " ", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%q moves no reference", text)
		}
		ids, err := addHash(nil, fields[0])
		if err == nil {
			ids, err = addHash(ids, fields[1])
		}
		if err != nil {
			return nil, err
		}
		sent.commands = append(sent.commands, &command{ref: plumbing.ReferenceName(fields[2]), old: ids[0], new: ids[1]})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the push: %w", err)
	}
	if len(sent.commands) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return sent, nil
}

// receive takes a push. Objects are stored before the references that lead to them are moved, so whenever this ends the
// repository is as before, or as after some of the moves.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, body io.Reader, repo *repository) {
	lines := pktline.NewScanner(body)
	sent, err := readPush(lines)
	if err != nil {
		_ = pktline.NewEncoder(w).Encodef("ERR receive-pack: %v\n", err)
		return
	}
	if len(sent.commands) == 0 {
		return // git asks so whether a large push would be heard
	}
	unpacked := "ok"
	made, err := s.repos.create(repo.name)
	if err == nil {
		repo = made
		err = s.take(r.Context(), body, repo, sent)
	}
	if err != nil {
		unpacked = strings.ReplaceAll(err.Error(), "\n", " ")
		s.logger.Warn("a push has failed", "repository", repo.name, "error", err)
		for _, c := range sent.commands {
			c.refusal = cmp.Or(c.refusal, "unpacker error")
		}
		// The client may still be sending; it reads the answer only after that.
		_, _ = io.Copy(io.Discard, io.LimitReader(body, s.limits.Packed))
	}
	for _, c := range sent.commands {
		s.logger.Info("pushed", "repository", repo.name, "ref", c.ref, "old", c.old.String(), "new", c.new.String(), "refused", c.refusal)
	}
	report(w, sent, unpacked)
	if len(sent.commands) > 0 && err == nil {
		s.housekeep(context.WithoutCancel(r.Context()), repo)
	}
}

// take stores the pack, and moves the references. An error concerns the whole push.
func (s *Server) take(ctx context.Context, body io.Reader, repo *repository, sent *push) error {
	repo.objects.RLock()
	defer repo.objects.RUnlock()
	if sent.sendsPack() {
		if _, err := storePack(ctx, repo, body, s.limits); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	store := repo.open() // after the pack, which it has to see
	defer store.Close()
	before, err := repo.snapshot(store)
	if err != nil {
		return err
	}
	for _, c := range sent.commands {
		if c.new.IsZero() {
			continue
		}
		// What a reference leads to must be all there, or it would break every later clone.
		_, err := selection{store: store, wants: []plumbing.Hash{c.new}, haves: before.tips()}.objects()
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			c.refusal = "missing necessary objects"
		} else if err != nil {
			return err
		}
	}
	return s.move(repo, sent)
}

// move moves the references, all under one lock: of two pushes that begin at the same commit the second is refused.
func (s *Server) move(repo *repository, sent *push) error {
	repo.refs.Lock()
	defer repo.refs.Unlock()
	store := repo.open()
	defer store.Close()
	now, err := readRefs(store)
	if err != nil {
		return err
	}
	for _, c := range sent.commands {
		if c.refusal != "" {
			continue
		}
		current := now.of(c.ref)
		if c.refusal = refuse(c, current, now); c.refusal != "" {
			continue
		}
		if c.ref.IsBranch() && !c.old.IsZero() && !c.new.IsZero() {
			forward, err := reaches(store, c.new, c.old)
			if err != nil || !forward {
				c.refusal = "non-fast-forward"
				continue
			}
		}
		if c.new.IsZero() {
			err = repo.removeRef(c.ref)
		} else {
			err = repo.setRef(c.ref, c.new.String())
		}
		if err != nil {
			c.refusal = "failed to update ref"
			s.logger.Error("a reference was not moved", "repository", repo.name, "ref", c.ref, "error", withoutPath(err))
			continue
		}
		events.Publish(s.hub, events.Event{Repository: repo.name, Ref: c.ref.String(), Commit: commitOf(c.new)})
	}
	return s.settleHead(repo, now, sent)
}

func commitOf(id plumbing.Hash) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// refuse says why a reference is not moved, in the words that git's own server uses; "" when it may be.
func refuse(c *command, current plumbing.Hash, now *snapshot) string {
	switch {
	case !validRefName(c.ref):
		return "funny refname"
	case current != c.old && current.IsZero():
		return "failed to update ref: it does not exist (any more)"
	case current != c.old:
		return fmt.Sprintf("cannot lock ref '%s': is at %s but expected %s (fetch first)", c.ref, current, c.old)
	case c.new.IsZero() && c.old.IsZero():
		return "nothing to delete"
	case c.new.IsZero() && c.ref == now.head:
		return "deletion of the current branch prohibited"
	}
	return ""
}

// settleHead makes a first push's branch the one that clones check out, when the usual one is not among its branches.
func (s *Server) settleHead(repo *repository, before *snapshot, sent *push) error {
	if slices.ContainsFunc(before.refs, func(ref *plumbing.Reference) bool { return ref.Name().IsBranch() }) {
		return nil
	}
	var made plumbing.ReferenceName
	for _, c := range sent.commands {
		switch {
		case c.refusal != "" || c.new.IsZero() || !c.ref.IsBranch():
		case c.ref == before.head:
			return nil
		case made == "":
			made = c.ref
		}
	}
	if made == "" {
		return nil
	}
	return repo.setRef(plumbing.HEAD, "ref: "+made.String())
}

// withoutPath takes the server's own paths out of an error.
func withoutPath(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return err
}

// report answers a push, if the client has asked for that: git's words for each reference, errors for people beside.
func report(w io.Writer, sent *push, unpacked string) {
	if !sent.has("report-status") {
		return
	}
	var text bytes.Buffer
	inner := pktline.NewEncoder(&text)
	_ = inner.Encodef("unpack %s\n", unpacked)
	for _, c := range sent.commands {
		if c.refusal == "" {
			_ = inner.Encodef("ok %s\n", c.ref)
		} else {
			_ = inner.Encodef("ng %s %s\n", c.ref, c.refusal)
		}
	}
	_ = inner.Flush()
	if !sent.has("side-band-64k") {
		_, _ = w.Write(text.Bytes())
		return
	}
	outer := pktline.NewEncoder(w)
	if unpacked != "ok" {
		_, _ = (&band{outer, bandProgress}).Write([]byte("error: " + unpacked + "\n"))
	}
	_, _ = (&band{outer, bandData}).Write(text.Bytes())
	_ = outer.Flush()
}
