package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// report writes the page; what was measured on which machine stands on it.
func report(path string, figures []figure) error {
	var page strings.Builder
	fmt.Fprintf(&page, "# Benchmarks\n\nMade by `make bench` on %s, on a machine with %d cores (%s/%s, %s). Do not edit: run it again.\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, memory())
	page.WriteString("Ratios are of medians of pairs measured in turn in one run. `make bench ONLY=NAME` measures one.\n\n")
	page.WriteString("| NAME | value | goal | what |\n|---|---|---|---|\n")
	for _, f := range figures {
		fmt.Fprintf(&page, "| %s | %.2f %s | %s | %s |\n", f.name, f.value, f.unit, f.goal, f.note)
	}
	return os.WriteFile(path, []byte(page.String()), 0o644)
}

// memory is this machine's, in words.
func memory() string {
	content, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "memory unknown"
	}
	var kilobytes int
	if _, err := fmt.Sscanf(string(content), "MemTotal: %d kB", &kilobytes); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%d GiB", (kilobytes+(1<<19))>>20)
}
