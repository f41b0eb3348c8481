package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"time"
)

// report writes the page. Figures of the page that was there and that were not measured now stay in it, so that one can
// be measured alone; each says when it was measured.
func report(path string, figures []figure) error {
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := map[string]string{} // a row by its figure's name
	for line := range strings.Lines(string(before)) {
		if columns := strings.Split(line, "|"); len(columns) > 2 {
			lines[strings.TrimSpace(columns[1])] = line
		}
	}
	today := time.Now().UTC().Format(time.DateOnly)
	for _, f := range figures {
		lines[f.name] = fmt.Sprintf("| %s | %.2f %s | %s | %s | %s |\n", f.name, f.value, f.unit, f.goal, f.note, today)
	}
	var page strings.Builder
	fmt.Fprintf(&page, "# Benchmarks\n\nMade by `make bench` on a machine with %d cores (%s/%s, %s). Do not edit: run it again.\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, memory())
	page.WriteString("Ratios are of medians of pairs measured in turn in one run; the saves of the loop are spread evenly over the second in which the kubelet looks at its containers once. `make bench ONLY=NAME` measures one, and what comes with it.\n\n")
	page.WriteString("| NAME | value | goal | what | when |\n|---|---|---|---|---|\n")
	for _, m := range measurements {
		for _, name := range m.names {
			page.WriteString(lines[name])
		}
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
