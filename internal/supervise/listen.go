//go:build linux

package supervise

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// The kernel tells nobody that a socket begins to listen, so its table is read: often at first, since most programs
// listen within a few milliseconds, and only until the new process does.
const (
	firstLook  = time.Millisecond
	slowerLook = 50 * time.Millisecond
)

// awaitListener waits until something in the pod listens on the port; false means that it did not within the limit, or
// that ctx ended before.
func awaitListener(ctx context.Context, port int, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	pause := firstLook
	for {
		if listens(port) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		pause = min(pause*2, slowerLook)
	}
}

// listens looks into the kernel's tables of TCP sockets, for IPv4 and IPv6.
func listens(port int) bool {
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err == nil && hasListener(string(content), port) {
			return true
		}
	}
	return false
}

// hasListener reads a table in the format of proc_net_tcp(5): the second field of a line is the local address and
// port in hex, the fourth is the state, of which 0A is listening.
func hasListener(table string, port int) bool {
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		_, local, found := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(local, 16, 16)
		if found && err == nil && int(number) == port {
			return true
		}
	}
	return false
}
