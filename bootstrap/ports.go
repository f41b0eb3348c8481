package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"slipway.dev/slipway/internal/hint"
)

// The ports that are preferred. 5000 is what the field's documents use; on macOS AirPlay has it, on every address.
const (
	defaultRegistryPort   = 5000
	defaultIngressPort    = 8080
	defaultIngressTLSPort = 8443
)

// portTries is how many ports above a taken default are looked at before giving up.
const portTries = 100

// choosePort returns the port to publish: named if the user named one (an error when it is taken), else the first
// free one from preferred on that is not in avoid. moved says that it is not the preferred one.
func choosePort(ctx context.Context, what, flag string, named, preferred int, avoid ...int) (port int, moved bool, err error) {
	if named != 0 {
		if named < 1 || named > 65535 {
			return 0, false, hint.Withf(fmt.Errorf("%d is not a port", named), "give %s a number from 1 to 65535", flag)
		}
		if where := takenOn(ctx, named); where != "" {
			return 0, false, hint.Withf(fmt.Errorf("port %d for %s is taken on %s", named, what, where), "stop what listens there, or choose another port with %s", flag)
		}
		return named, false, nil
	}
	for port = preferred; port < preferred+portTries; port++ {
		if contains(avoid, port) || takenOn(ctx, port) != "" {
			continue
		}
		return port, port != preferred, nil
	}
	return 0, false, hint.Withf(fmt.Errorf("ports %d to %d for %s are all taken", preferred, preferred+portTries-1, what), "choose a free port with %s", flag)
}

func contains(list []int, wanted int) bool {
	for _, item := range list {
		if item == wanted {
			return true
		}
	}
	return false
}

// takenOn returns the loopback address on which something already has the port, or "". localhost may mean either
// address, so both must be free. Where one may listen beside a wildcard listener (macOS), only asking shows it.
func takenOn(ctx context.Context, port int) string {
	for _, host := range []string{"127.0.0.1", "::1"} {
		address := net.JoinHostPort(host, strconv.Itoa(port))
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			if host == "::1" && !errors.Is(err, syscall.EADDRINUSE) {
				continue // no IPv6 here
			}
			return host
		}
		_ = listener.Close()
		dialer := net.Dialer{Timeout: 200 * time.Millisecond}
		if connection, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			_ = connection.Close()
			return host
		}
	}
	return ""
}
