package client

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"
)

// sshDialTimeout is as long as that of NewTransport.
const sshDialTimeout = 5 * time.Second

// keys are go-git's, which dial for as long as the system does.
type keys struct{ *gitssh.PublicKeys }

func (k keys) ClientConfig() (*ssh.ClientConfig, error) {
	config, err := k.PublicKeys.ClientConfig()
	if err != nil {
		return nil, err
	}
	config.Timeout = sshDialTimeout
	return config, nil
}

// trust lets in the hosts that known_hosts lists, and asks the endpoint's for a key of a type that is listed: or else it
// shows another one of its keys, and is not trusted.
func trust(key *gitssh.PublicKeys, endpoint *transport.Endpoint, content string) error {
	hosts, err := hostsFile(content)
	if hosts != "" {
		defer os.Remove(hosts)
	}
	if err != nil {
		return err
	}
	known, err := gitssh.NewKnownHostsDb(hosts)
	if err != nil {
		return err
	}
	port := endpoint.Port
	if port <= 0 {
		port = gitssh.DefaultPort
	}
	key.HostKeyCallback = known.HostKeyCallback()
	key.HostKeyAlgorithms = known.HostKeyAlgorithms(net.JoinHostPort(endpoint.Host, strconv.Itoa(port)))
	return nil
}

// hostsFile is for a library that reads files only. The file is to be removed, after an error too.
func hostsFile(content string) (string, error) {
	if content == "" {
		return "", errors.New("it is empty")
	}
	file, err := os.CreateTemp("", "slipway-hosts-")
	if err != nil {
		return "", fmt.Errorf("making a file of it: %w", err)
	}
	if _, err := file.WriteString(content); err != nil {
		return file.Name(), errors.Join(err, file.Close())
	}
	return file.Name(), file.Close()
}
