package server

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// maxLines bounds what one request may name, so that it cannot fill the memory.
const maxLines = 100_000

// wish is the first part of a request for objects (gitprotocol-pack, "upload-request").
type wish struct {
	wants    []plumbing.Hash
	shallows []plumbing.Hash // commits whose parents the client has not
	depth    int             // 0: all of the history
	caps     []string
}

func (w *wish) has(capability string) bool { return slices.Contains(w.caps, capability) }

// readWish reads up to the first flush. A request that is empty is a wish for nothing.
func readWish(lines *pktline.Scanner) (*wish, error) {
	asked := &wish{}
	for count := 0; lines.Scan(); count++ {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		if line == "" {
			return asked, nil
		}
		if count > maxLines {
			return nil, errors.New("the request names too many objects")
		}
		verb, rest, _ := strings.Cut(line, " ")
		var err error
		switch verb {
		case "want":
			id, caps, _ := strings.Cut(rest, " ")
			if len(asked.wants) == 0 {
				asked.caps = strings.Fields(caps)
			}
			asked.wants, err = addHash(asked.wants, id)
		case "shallow":
			asked.shallows, err = addHash(asked.shallows, rest)
		case "deepen":
			if asked.depth, err = strconv.Atoi(rest); err == nil && asked.depth < 1 {
				err = fmt.Errorf("%d is no depth", asked.depth)
			}
		default:
			err = fmt.Errorf("this server does not know %q", verb) // deepen-since, deepen-not, filter: not advertised
		}
		if err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if len(asked.wants) > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return asked, nil
}

func addHash(list []plumbing.Hash, text string) ([]plumbing.Hash, error) {
	if !plumbing.IsHash(text) || len(text) != 40 {
		return nil, fmt.Errorf("%q is no object name", text)
	}
	return append(list, plumbing.NewHash(text)), nil
}

// negotiate finds what both sides have, in rounds of which each is one request: the client says again in each what it
// has said before. done means that the pack is to follow; without, the answer is complete. The words are those of
// gitprotocol-pack, "packfile negotiation".
func negotiate(lines *pktline.Scanner, answer *pktline.Encoder, asked *wish, have func(plumbing.Hash) bool) (common []plumbing.Hash, done bool, err error) {
	detailed := asked.has("multi_ack_detailed")
	for count := 0; lines.Scan(); count++ {
		line := strings.TrimSuffix(string(lines.Bytes()), "\n")
		verb, id, _ := strings.Cut(line, " ")
		switch {
		case count > maxLines:
			return nil, false, errors.New("the request names too many objects")
		case line == "":
			if detailed && len(common) > 0 {
				err = answer.Encodef("ACK %s ready\n", common[len(common)-1])
			}
			if err == nil && (detailed || len(common) == 0) {
				err = answer.EncodeString("NAK\n")
			}
		case verb == "have":
			var named []plumbing.Hash
			if named, err = addHash(nil, id); err != nil || !have(named[0]) {
				break
			}
			common = append(common, named[0])
			if detailed {
				err = answer.Encodef("ACK %s common\n", named[0])
			} else if len(common) == 1 {
				err = answer.Encodef("ACK %s\n", named[0])
			}
		case line == "done":
			switch {
			case len(common) == 0:
				err = answer.EncodeString("NAK\n")
			case detailed:
				err = answer.Encodef("ACK %s\n", common[len(common)-1])
			}
			return common, err == nil, err
		default:
			err = fmt.Errorf("this server does not know %q", verb)
		}
		if err != nil {
			return nil, false, err
		}
	}
	return common, false, lines.Err()
}
