package client_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"net"
	"testing"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"slipway.dev/slipway/internal/git/client"
)

func signers(t *testing.T) (edwards, curve ssh.Signer, pemKey []byte) {
	t.Helper()
	_, one, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if edwards, err = ssh.NewSignerFromKey(one); err != nil {
		t.Fatal(err)
	}
	if curve, err = ssh.NewSignerFromKey(other); err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(one, "")
	if err != nil {
		t.Fatal(err)
	}
	return edwards, curve, pem.EncodeToMemory(block)
}

// listen has serve speak with each that connects.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(connection)
		}
	}()
	return listener.Addr().String()
}

// TestKnownHosts: a server that has keys of several types is asked for the one that known_hosts lists.
func TestKnownHosts(t *testing.T) {
	edwards, curve, key := signers(t)
	stranger, _, _ := signers(t)
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(edwards)
	config.AddHostKey(curve)
	address := listen(t, func(connection net.Conn) {
		defer connection.Close()
		session, channels, requests, err := ssh.NewServerConn(connection, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		go func() {
			for channel := range channels {
				_ = channel.Reject(ssh.Prohibited, "no")
			}
		}()
		_ = session.Wait()
	})
	for name, test := range map[string]struct {
		listed ssh.Signer
		fine   bool
	}{"ed25519": {edwards, true}, "ecdsa": {curve, true}, "another key": {stranger, false}} {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "git"}, Data: map[string][]byte{
			"identity": key, "known_hosts": []byte(knownhosts.Line([]string{address}, test.listed.PublicKey()) + "\n")}}
		auth, err := client.Credentials("ssh://git@"+address+"/x.git", secret)
		if err != nil {
			t.Fatal(err)
		}
		method, is := auth.(gitssh.AuthMethod)
		if !is {
			t.Fatalf("%T is nothing for ssh", auth)
		}
		made, err := method.ClientConfig()
		if err != nil || made.Timeout == 0 {
			t.Fatalf("%s: timeout %v, %v", name, made.Timeout, err)
		}
		session, err := ssh.Dial("tcp", address, made)
		if (err == nil) != test.fine {
			t.Errorf("%s: connecting: %v, want that it works: %v", name, err, test.fine)
		}
		if err == nil {
			_ = session.Close()
		}
	}
}
