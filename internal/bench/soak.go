package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// saveEvery is the pause between two saves of the soak: some come during a build, some during a rollout, some after.
const saveEvery = 600 * time.Millisecond

// settled is after how many saves the first look is: caches are full by then, and the heap has found its size.
const settled = 100

// footprint is what a process holds.
type footprint struct{ kilobytes, descriptors, threads int }

func (f footprint) String() string {
	return fmt.Sprintf("%.1f MB, %d descriptors, %d threads", float64(f.kilobytes)/1e3, f.descriptors, f.threads)
}

func footprintOf(process int) (footprint, error) {
	proc := fmt.Sprintf("/proc/%d", process)
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return footprint{}, err
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return footprint{}, err
	}
	held := footprint{descriptors: len(files)}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &held.kilobytes)
		_, _ = fmt.Sscanf(line, "Threads: %d", &held.threads)
	}
	return held, nil
}

// measureSoak compares what `slipway dev` holds at the end of many saves with what it held near their beginning.
func measureSoak(ctx context.Context, b *bench) ([]figure, error) {
	defer func() {
		_, _ = b.run(context.WithoutCancel(ctx), b.slipway, "down", "--name", environmentName)
	}()
	l, err := newLoop(ctx, b)
	if err != nil {
		return nil, err
	}
	defer l.builder.Close()
	dev, err := l.startDev(ctx)
	if err != nil {
		return nil, err
	}
	defer dev.stop()
	if err := dev.watches(ctx, 1); err != nil {
		return nil, err
	}
	early, err := l.saves(ctx, dev, 0, settled)
	if err != nil {
		return nil, err
	}
	count := int(b.soak / saveEvery)
	late, err := l.saves(ctx, dev, settled, count)
	if err != nil {
		return nil, err
	}
	return []figure{{"dev_memory", float64(late.kilobytes) / float64(early.kilobytes), "x", "<= 1.5 x", fmt.Sprintf(
		"what `slipway dev` holds after %d saves, 100 a minute (%s), to after the first %d (%s)", settled+count, late, settled, early)}}, nil
}

// saves edits what dev watches so many times, waits for the last edit's pod and returns what dev then holds.
func (l *loop) saves(ctx context.Context, dev *session, first, count int) (footprint, error) {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for i := range count {
		if err := l.edit(l.source, fmt.Sprintf("5.0.%d", first+i)); err != nil {
			return footprint{}, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return footprint{}, ctx.Err()
		}
	}
	if err := l.awaitAnswer(ctx, fmt.Sprintf("hello 5.0.%d", first+count-1)); err != nil {
		return footprint{}, fmt.Errorf("%w\ndev said:\n%s", err, dev.said())
	}
	return footprintOf(dev.command.Process.Pid)
}
