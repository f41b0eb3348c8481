package diagnose

import (
	"fmt"
	"strings"
	"time"

	"slipway.dev/slipway/internal/environment"
	"slipway.dev/slipway/internal/version"
)

// readme is the index of the folder: first what looks wrong, then where to look.
func readme(r *Report, name environment.Name, now time.Time) string {
	var out strings.Builder
	fmt.Fprintf(&out, "What `slipway diagnose` found in environment %s\n%s, slipway %s\n", name, now.UTC().Format(time.RFC3339), version.Version())
	section := func(title, none string, lines []string) {
		fmt.Fprintf(&out, "\n%s\n", title)
		if len(lines) == 0 {
			fmt.Fprintf(&out, "  %s\n", none)
		}
		for _, line := range lines {
			fmt.Fprintf(&out, "  - %s\n", strings.ReplaceAll(strings.TrimSpace(line), "\n", "\n    "))
		}
	}
	section("What looks wrong", "nothing: all that was looked at is ready", r.Problems)
	if len(r.Warnings) > 0 {
		section("The latest warnings of the cluster", "", r.Warnings)
	}
	if len(r.Missing) > 0 {
		section("What could not be collected", "", r.Missing)
	}
	section("Files", "none", r.Files)
	out.WriteString("\nThe data of Secrets, and values whose names look secret, were left out of the objects.\nLogs are as the programs wrote them: read them before you hand this folder to somebody.\n")
	return out.String()
}
