package server

import (
	"bytes"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

func TestNegotiateWithoutDetails(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	for name, test := range map[string]struct {
		lines []string
		caps  []string
		want  string
		done  bool
	}{
		"plain, nothing in common":    {lines: []string{"have " + b, "done"}, want: "0008NAK\n", done: true},
		"plain, one in common":        {lines: []string{"have " + a, "have " + b, "", "done"}, want: "0031ACK " + a + "\n", done: true},
		"detailed, to be continued":   {lines: []string{"have " + b, ""}, caps: []string{"multi_ack_detailed"}, want: "0008NAK\n"},
		"detailed, one in common":     {lines: []string{"have " + a, ""}, caps: []string{"multi_ack_detailed"}, want: "0038ACK " + a + " common\n0037ACK " + a + " ready\n0008NAK\n"},
		"detailed, done":              {lines: []string{"have " + a, "done"}, caps: []string{"multi_ack_detailed"}, want: "0038ACK " + a + " common\n0031ACK " + a + "\n", done: true},
		"nothing after the depth":     {},
		"a clone has nothing to tell": {lines: []string{"done"}, want: "0008NAK\n", done: true},
	} {
		var input, output bytes.Buffer
		if err := pktline.NewEncoder(&input).EncodeString(test.lines...); err != nil {
			t.Fatal(err)
		}
		_, done, err := negotiate(pktline.NewScanner(&input), pktline.NewEncoder(&output), &wish{caps: test.caps}, func(id plumbing.Hash) bool { return id.String() == a })
		if err != nil || done != test.done || output.String() != test.want {
			t.Errorf("%s: %q, done %t, %v; want %q, done %t", name, output.String(), done, err, test.want, test.done)
		}
	}
}

// FuzzRequests: whatever a client sends, reading it ends, with what it says or an error.
func FuzzRequests(f *testing.F) {
	id := strings.Repeat("a", 40)
	f.Add("0032want " + id + "\n0000")
	f.Add("003ewant " + id + " side-band\n0035shallow " + id + "000cdeepen 10000")
	f.Add("0000")
	f.Add(strings.Repeat("0", 40))
	f.Add("006b" + id + " " + id + " refs/heads/main\x00report-status0000PACK")
	f.Fuzz(func(t *testing.T, request string) {
		if asked, err := readWish(pktline.NewScanner(strings.NewReader(request))); err == nil && len(asked.wants) > len(request)/40 {
			t.Errorf("%d wants in %d bytes", len(asked.wants), len(request))
		}
		if sent, err := readPush(pktline.NewScanner(strings.NewReader(request))); err == nil {
			for _, c := range sent.commands {
				if validRefName(c.ref) && (strings.Contains(c.ref.String(), "..") || !strings.HasPrefix(c.ref.String(), "refs/")) {
					t.Errorf("%q is no name for a reference", c.ref)
				}
			}
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, name := range []string{"a", "/a/b.git", "../a", "a/../b", "a.git/b", ".git", "a//b", "a/b/c/d/e", "x.lock", "a\\b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := parseName(text)
		if err != nil {
			return
		}
		if strings.Contains(name, "..") && strings.Contains("/"+name+"/", "/../") || strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") || strings.Contains(name, "\\") {
			t.Errorf("%q became %q", text, name)
		}
		if again, err := parseName("/" + name + ".git"); err != nil || again != name {
			t.Errorf("%q became %q and that %q, %v", text, name, again, err)
		}
	})
}
