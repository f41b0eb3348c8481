package bootstrap

import (
	"net"
	"strings"
	"testing"

	"slipway.dev/slipway/internal/hint"
)

// listen takes a port of an address, and returns it.
func listen(t *testing.T, address string) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", address, err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().(*net.TCPAddr).Port
}

func TestTakenOnLooksAtBothLoopbacks(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			port := listen(t, address)
			if got := takenOn(t.Context(), port); got != address {
				t.Errorf("takenOn(%d) = %q, want %q", port, got, address)
			}
		})
	}
}

func TestChoosePort(t *testing.T) {
	taken := listen(t, "127.0.0.1")

	port, moved, err := choosePort(t.Context(), "the registry", "--registry-port", 0, taken)
	if err != nil || !moved || port <= taken {
		t.Errorf("a default that is taken: %d, %v, %v, want a later port", port, moved, err)
	}
	if again, _, err := choosePort(t.Context(), "the apps", "--ingress-port", 0, taken, port); err != nil || again == port {
		t.Errorf("a port to avoid: got %d again, %v", again, err)
	}
	_, _, err = choosePort(t.Context(), "the registry", "--registry-port", taken, 5000)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || len(hint.Of(err)) == 0 {
		t.Errorf("a named port that is taken: error = %v, want one that says where, and what to do", err)
	}
	if _, _, err := choosePort(t.Context(), "the registry", "--registry-port", 70000, 5000); err == nil {
		t.Error("port 70000 was accepted")
	}
}

func TestJudgeDisk(t *testing.T) {
	for _, test := range []struct {
		free uint64
		want Level
	}{{1 << 30, LevelError}, {4 << 30, LevelWarning}, {50 << 30, LevelOK}} {
		if got := judgeDisk(test.free, "/var/lib/docker"); got.Level != test.want || (got.Level != LevelOK && got.Fix == "") {
			t.Errorf("judgeDisk(%d) = %+v, want level %s and a fix", test.free, got, test.want)
		}
	}
}
