package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// measureSync compares a save under `slipway dev --sync`, up to the first answer of the new code, with the by-hand loop
// of measureLoop, up to its Ready pod.
func measureSync(ctx context.Context, b *bench) ([]figure, error) {
	defer func() {
		_, _ = b.run(context.WithoutCancel(ctx), b.slipway, "down", "--name", environmentName)
	}()
	l, err := newLoop(ctx, b)
	if err != nil {
		return nil, err
	}
	defer l.builder.Close()
	// What is kept by hand is the chain's Deployment as it is without the fast lane.
	if _, err := b.run(ctx, b.slipway, "dev", l.source, "--name", environmentName, "--once"); err != nil {
		return nil, err
	}
	if err := l.deployByHand(ctx); err != nil {
		return nil, err
	}
	dev, err := l.startDev(ctx, "--sync")
	if err != nil {
		return nil, err
	}
	defer dev.stop()
	bySync, byHand, err := l.syncPairs(ctx, dev)
	if err != nil {
		return nil, fmt.Errorf("%w\ndev said:\n%s", err, dev.said())
	}
	return []figure{
		{"sync_ratio", median(bySync) / median(byHand), "x", "<= 0.5 x", fmt.Sprintf("save to the new code's first answer through the ingress, under `slipway dev --sync` (%.2f s), to `go build`, `crane push` of the same layers and `kubectl set image`, up to the Ready pod (%.2f s); of the means: %.2f x", median(bySync), median(byHand), mean(bySync)/mean(byHand))},
	}, nil
}

func (l *loop) syncPairs(ctx context.Context, dev *session) (bySync, byHand []float64, err error) {
	if err := dev.watches(ctx, 1); err != nil {
		return nil, nil, err
	}
	for i := range loopPairs * l.pairs {
		version := fmt.Sprintf("%d.%d.%d", 9, i, time.Now().Unix()%1000)
		if err := l.pause(ctx, i); err != nil {
			return nil, nil, err
		}
		start := time.Now()
		if err := l.edit(l.source, version); err != nil {
			return nil, nil, err
		}
		if err := l.awaitAnswer(ctx, "hello "+version); err != nil {
			return nil, nil, fmt.Errorf("by sync: %w", err)
		}
		bySync = append(bySync, time.Since(start).Seconds())
		// The chain follows, which is not to be measured together with what is done by hand.
		if err := dev.watches(ctx, i+2); err != nil {
			return nil, nil, err
		}
		l.ready = time.Now() // that of the chain's own pod, about
		if err := l.pause(ctx, i); err != nil {
			return nil, nil, err
		}
		took, err := l.hand(ctx, version+"-hand")
		if err != nil {
			return nil, nil, fmt.Errorf("by hand: %w", err)
		}
		byHand = append(byHand, took.Seconds())
		fmt.Fprintf(os.Stderr, "pair %d: sync %.2f s, by hand %.2f s\n", i+1, bySync[i], byHand[i])
	}
	return bySync, byHand, nil
}

// awaitAnswer asks the example's URL until its answer has the words.
func (l *loop) awaitAnswer(ctx context.Context, words string) error {
	ctx, cancel := context.WithTimeout(ctx, iterationLimit)
	defer cancel()
	settings, err := l.client.CoreV1().ConfigMaps("slipway-system").Get(ctx, "slipway-environment", metav1.GetOptions{})
	if err != nil {
		return err
	}
	const pause = 20 * time.Millisecond // one every 5 ms takes a tenth of the processors from the compiler
	last := ""
	for ctx.Err() == nil {
		last = answer(ctx, net.JoinHostPort("127.0.0.1", settings.Data["ingressHTTP"]))
		if bytes.Contains([]byte(last), []byte(words)) {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("the app's last answer was %q, want %q: %w", last, words, ctx.Err())
}

func answer(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return err.Error()
	}
	request.Host = "hello.default.localhost"
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// session is a slipway that runs in the background.
type session struct {
	command *exec.Cmd
	log     *os.File
}

// startDev starts `slipway dev` on the example that it is to keep.
func (l *loop) startDev(ctx context.Context, flags ...string) (*session, error) {
	return l.bench.startBackground(ctx, append([]string{"dev", l.source, "--name", environmentName, "--progress", "plain"}, flags...)...)
}

// startBackground starts a slipway that runs until it is stopped.
func (b *bench) startBackground(ctx context.Context, arguments ...string) (*session, error) {
	s := &session{command: exec.CommandContext(ctx, b.slipway, arguments...)}
	s.command.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(b.work, "kubeconfig"), "XDG_STATE_HOME="+filepath.Join(b.work, "state"))
	var err error
	if s.log, err = os.Create(filepath.Join(b.work, arguments[0]+".log")); err != nil {
		return nil, err
	}
	s.command.Stdout, s.command.Stderr = s.log, s.log
	if err := s.command.Start(); err != nil {
		s.log.Close()
		return nil, err
	}
	return s, nil
}

// stop ends it, and waits until it has.
func (s *session) stop() {
	_ = s.command.Process.Signal(os.Interrupt)
	_ = s.command.Wait()
	s.log.Close()
}

func (s *session) said() string {
	text, err := os.ReadFile(s.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// watches waits until it has said that it watches so many times: after each run of the chain.
func (s *session) watches(ctx context.Context, times int) error {
	ctx, cancel := context.WithTimeout(ctx, iterationLimit)
	defer cancel()
	const pause = 20 * time.Millisecond
	for bytes.Count([]byte(s.said()), []byte("Watching ")) < times {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for run %d of the chain: %w", times, ctx.Err())
		case <-time.After(pause):
		}
	}
	return nil
}
