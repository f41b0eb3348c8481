package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/knownhosts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/internal/git/client"
)

// TestSilentServer: one that accepts and says nothing is not waited for longer than there is time.
func TestSilentServer(t *testing.T) {
	edwards, _, key := signers(t)
	stop := make(chan struct{})
	defer close(stop)
	address := listen(t, func(connection net.Conn) { <-stop; _ = connection.Close() })
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: map[string][]byte{
		"identity": key, "known_hosts": []byte(knownhosts.Line([]string{address}, edwards.PublicKey()) + "\n")}}
	repo := client.Repository{URL: "ssh://git@" + address + "/x.git"}
	var err error
	if repo.Auth, err = client.Credentials(repo.URL, secret); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := repo.Commit(ctx, change("a", map[string]string{"b": "c"})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("committing to it: %v", err)
	}
}

type closer chan struct{}

func (c closer) Close() error { close(c); return nil }

// TestConnectClosesWhatComesTooLate, and gives what comes in time.
func TestConnectClosesWhatComesTooLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun, late := make(chan struct{}), make(closer)
	if _, err := client.Connect(ctx, func() (io.Closer, error) { <-begun; return late, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
	close(begun)
	<-late
	early := make(closer)
	if got, err := client.Connect(t.Context(), func() (io.Closer, error) { return early, nil }); err != nil || got != io.Closer(early) {
		t.Errorf("in time: %v, %v", got, err)
	}
	if _, err := client.Connect(t.Context(), func() (io.Closer, error) { return nil, errors.New("no way") }); err == nil || !strings.Contains(err.Error(), "no way") {
		t.Errorf("what goes wrong: %v", err)
	}
}
