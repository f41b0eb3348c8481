package main

import (
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// collectAt is Go's GOGC: how much the heap may grow before it is collected. The controllers' heap is
	// small and their CPU idle, so memory is worth more; half of Go's default costs nothing that shows.
	collectAt = 50
	// headroom is what the Go heap leaves of the container's limit for what is not heap, in percent.
	headroom = 10
)

// limitMemory tells Go's collector about the container's memory limit, so that it works harder before the
// kernel kills the process. Settings in the environment (GOGC, GOMEMLIMIT) win.
func limitMemory(environment func(string) string, readFile func(string) ([]byte, error)) {
	if environment("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if environment("GOMEMLIMIT") != "" {
		return
	}
	if limit, found := containerLimit(readFile); found {
		debug.SetMemoryLimit(limit / 100 * (100 - headroom))
	}
}

// containerLimit is the memory limit of the process's control group in bytes, of either version.
func containerLimit(readFile func(string) ([]byte, error)) (int64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		content, err := readFile(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
		// Version 2 writes "max" for no limit, version 1 a number near 2^63.
		if err == nil && limit > 0 && limit < 1<<50 {
			return limit, true
		}
	}
	return 0, false
}
