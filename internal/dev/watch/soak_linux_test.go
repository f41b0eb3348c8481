package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// settles waits until a count is what it was.
func settles(t *testing.T, what string, before int, count func() int) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		now := count()
		if now <= before {
			return
		}
		if time.Now().After(limit) {
			t.Errorf("%d %s are left of %d", now, what, before)
			return
		}
	}
}

// TestManySaves has 200 saves in 20 seconds, while their reader takes its time: the last batch comes after the last
// save, and nothing is left behind.
func TestManySaves(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 20 seconds")
	}
	dir := t.TempDir()
	write(t, dir, "sub/a.go", "0")
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	ctx, cancel := context.WithCancel(t.Context())
	batches, err := Watch(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 1; i <= 200; i++ {
			content := fmt.Sprint(i)
			if i%2 == 0 {
				_ = os.WriteFile(filepath.Join(dir, "sub/a.go"), []byte(content), 0o644)
			} else if os.WriteFile(filepath.Join(dir, "sub/x.tmp"), []byte(content), 0o644) == nil {
				_ = os.Rename(filepath.Join(dir, "sub/x.tmp"), filepath.Join(dir, "sub/a.go"))
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	count, limit := 0, time.After(patience+20*time.Second)
	for last := ""; last != "200"; {
		select {
		case <-batches:
			count++
			content, err := os.ReadFile(filepath.Join(dir, "sub/a.go"))
			if err != nil {
				t.Fatal(err)
			}
			last = string(content)
			time.Sleep(50 * time.Millisecond) // as a run that is cancelled does
		case <-limit:
			t.Fatalf("the last of %d batches came before the last save: %s", count, last)
		}
	}
	t.Logf("%d batches", count)
	cancel()
	for range batches {
	}
	settles(t, "goroutines", goroutines, runtime.NumGoroutine)
	settles(t, "descriptors", files, func() int { return descriptors(t) })
}

// TestNothingIsLeft starts and ends many times, in every way.
func TestNothingIsLeft(t *testing.T) {
	dir := t.TempDir()
	for i := range 50 {
		write(t, dir, fmt.Sprintf("d%d/a.go", i), "1")
	}
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for i := range 20 {
		way := byEvents
		if i%2 == 1 {
			way = byLooking
		}
		ctx, cancel := context.WithCancel(t.Context())
		batches, err := watch(ctx, dir, Options{Scan: time.Millisecond}, func(string) string { return way })
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, "d1/a.go", fmt.Sprint(i))
		if i%3 == 0 {
			next(t, batches, "d1/a.go")
		}
		cancel()
		for range batches {
		}
	}
	settles(t, "goroutines", goroutines, runtime.NumGoroutine)
	settles(t, "descriptors", files, func() int { return descriptors(t) })
}
