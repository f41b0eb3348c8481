package app

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// browserLimit is how long the system's opener may take: it hands the URL on and ends.
const browserLimit = 10 * time.Second

// openBrowser shows a URL in the user's browser, by the system's own opener.
func openBrowser(ctx context.Context, url string) error {
	command := []string{"xdg-open"}
	switch runtime.GOOS {
	case "darwin":
		command = []string{"open"}
	case "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	ctx, cancel := context.WithTimeout(ctx, browserLimit)
	defer cancel()
	said, err := exec.CommandContext(ctx, command[0], append(command[1:], url)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w %s", command[0], err, strings.TrimSpace(string(said)))
	}
	return nil
}
