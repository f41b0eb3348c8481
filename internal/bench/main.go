// Command bench measures slipway against what a user would do without it, on the machine at hand, and writes the figures
// to docs/benchmarks.md. Figures are ratios within one run, because machines differ and are noisy; each is the median of
// pairs that are measured in turn. It is not a test: it asserts nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// figure is one line of the result.
type figure struct {
	name  string
	value float64
	unit  string // x for a ratio, s, MB
	goal  string
	note  string // what was measured, with the absolute figures behind a ratio
}

// measurement makes one or more figures.
type measurement struct {
	names []string
	run   func(context.Context, *bench) ([]figure, error)
}

// measurements in the order in which they run; one environment is made and removed by each that needs it.
var measurements = []measurement{
	{[]string{"binary_size"}, measureSize},
	{[]string{"up_ratio", "up_again"}, measureUp},
	{[]string{"loop_ratio", "push_to_deployment"}, measureLoop},
	{[]string{"push_ratio", "layer_plain", "layer_gzip", "layer_zstd"}, measurePush},
	{[]string{"sync_ratio"}, measureSync},
	{[]string{"dev_memory"}, measureSoak},
	{[]string{"chain_overhead", "chain_overhead_dev"}, measureChain},
	{[]string{"idle_memory", "idle_cpu"}, measureIdle},
	{[]string{"realize_rate", "realize_edit", "realize_requests", "controller_rss", "controller_rss_1000", "controller_idle"}, measureScale},
}

// bench is what the measurements share.
type bench struct {
	slipway string // the program
	root    string // the checkout
	work    string // a temporary folder
	pairs   int
	soak    time.Duration // how long dev_memory saves
}

func main() {
	only := flag.String("only", "", "measure the figure of this `name` alone")
	pairs := flag.Int("pairs", 5, "how many pairs a median is taken of")
	soak := flag.Duration("soak", 3*time.Minute, "how long dev_memory saves, 100 times a minute")
	output := flag.String("o", "docs/benchmarks.md", "the `file` to write")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, bench{pairs: *pairs, soak: *soak}, *only, *output)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, b bench, only, output string) error {
	program, err := filepath.Abs(os.Getenv("SLIPWAY_BIN"))
	if err != nil || os.Getenv("SLIPWAY_BIN") == "" {
		return fmt.Errorf("SLIPWAY_BIN names no program: %w", err)
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "slipway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	b.slipway, b.root, b.work = program, root, work
	var all []figure
	known := false
	for _, m := range measurements {
		if only != "" && !slices.Contains(m.names, only) {
			continue
		}
		known = true
		figures, err := m.run(ctx, &b)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", strings.Join(m.names, ", "), err)
		}
		for _, f := range figures {
			fmt.Printf("bench %s %.2f %s\n", f.name, f.value, f.unit)
			fmt.Fprintln(os.Stderr, f.note)
		}
		all = append(all, figures...)
	}
	if !known {
		return fmt.Errorf("there is no figure %q", only)
	}
	return report(output, all)
}

func measureSize(_ context.Context, b *bench) ([]figure, error) {
	info, err := os.Stat(b.slipway)
	if err != nil {
		return nil, err
	}
	return []figure{{"binary_size", float64(info.Size()) / 1e6, "MB", "<= 100 MB", "`bin/slipway`, stripped, with slipwayd inside"}}, nil
}

// mean of a list that is not empty.
func mean(values []float64) float64 {
	sum := 0.0
	for _, value := range values {
		sum += value
	}
	return sum / float64(len(values))
}

// median of a list that is not empty.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
