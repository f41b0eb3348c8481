package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// upload answers one round of a clone or a fetch.
func (s *Server) upload(w http.ResponseWriter, body io.Reader, repo *repository) {
	if !repo.exists() {
		http.Error(w, errNoRepository.Error()+": "+repo.name, http.StatusNotFound)
		return
	}
	repo.objects.RLock()
	defer repo.objects.RUnlock()
	store := repo.open()
	defer store.Close()
	lines := pktline.NewScanner(body)
	out := bufio.NewWriterSize(w, 64<<10)
	defer out.Flush()
	answer := pktline.NewEncoder(out)
	if err := s.serveWish(lines, out, answer, store); err != nil {
		s.logger.Debug("a fetch has failed", "repository", repo.name, "error", err)
		_ = answer.Encodef("ERR upload-pack: %v\n", err)
	}
}

func (s *Server) serveWish(lines *pktline.Scanner, out io.Writer, answer *pktline.Encoder, store storer.EncodedObjectStorer) error {
	asked, err := readWish(lines)
	if err != nil || len(asked.wants) == 0 {
		return err
	}
	for _, want := range asked.wants {
		if store.HasEncodedObject(want) != nil {
			return fmt.Errorf("not our ref %s", want)
		}
	}
	chosen := selection{store: store, wants: asked.wants, wantEdge: setOf(asked.shallows), haveEdge: setOf(asked.shallows)}
	if asked.depth > 0 {
		if err := deepen(answer, asked, &chosen); err != nil {
			return err
		}
	}
	common, done, err := negotiate(lines, answer, asked, func(id plumbing.Hash) bool { return store.HasEncodedObject(id) == nil })
	if err != nil || !done {
		return err
	}
	chosen.haves = common
	ids, err := chosen.objects()
	if err != nil {
		return err
	}
	if !asked.has("side-band-64k") {
		return writePack(out, store, ids)
	}
	pack := bufio.NewWriterSize(&band{answer, bandData}, maxBand)
	if err := writePack(pack, store, ids); err != nil {
		// The client is in the middle of the pack: only the band for errors is heard.
		_, _ = (&band{answer, bandError}).Write([]byte(err.Error() + "\n"))
		s.logger.Error("a fetch has failed", "error", err)
		return nil
	}
	return errors.Join(pack.Flush(), answer.Flush())
}

// deepen says where the history of the asked depth ends, and makes the selection end there.
func deepen(answer *pktline.Encoder, asked *wish, chosen *selection) error {
	ends, inside, err := boundary(chosen.store, asked.wants, asked.depth)
	if err != nil {
		return err
	}
	had := setOf(asked.shallows)
	for id := range ends {
		if !had.has(id) {
			if err := answer.Encodef("shallow %s", id); err != nil {
				return err
			}
		}
	}
	chosen.wantEdge = ends
	for _, id := range asked.shallows {
		if !inside.has(id) {
			if !ends.has(id) {
				chosen.wantEdge.add(id) // out of reach of what is asked for now: it stays as it is
			}
			continue
		}
		if err := answer.Encodef("unshallow %s", id); err != nil {
			return err
		}
		// The client has this commit, so the walk would end at it; what is new begins with its parents.
		commit, _, err := chosen.resolve(id)
		if err != nil {
			return err
		}
		parents, err := parentsOf(chosen.store, commit.Hash())
		if err != nil {
			return err
		}
		chosen.wants = append(chosen.wants, parents...)
	}
	return answer.Flush()
}

// The bands of side-band-64k (gitprotocol-common).
const (
	bandData     = 1
	bandProgress = 2
	bandError    = 3
	// maxBand is what fits into a line beside its length and the band's number.
	maxBand = pktline.MaxPayloadSize - 1
)

// band writes to one of several streams in one.
type band struct {
	to     *pktline.Encoder
	number byte
}

func (b *band) Write(content []byte) (int, error) {
	written := 0
	for written < len(content) {
		chunk := content[written:min(len(content), written+maxBand)]
		if err := b.to.Encode(append([]byte{b.number}, chunk...)); err != nil {
			return written, err
		}
		written += len(chunk)
	}
	return written, nil
}
