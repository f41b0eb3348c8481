//go:build linux

package supervise

import (
	"bufio"
	"crypto/subtle"
	"fmt"
	"sync"
	"time"

	"slipway.dev/slipway/internal/supervise/wire"
)

// helloLimit is how long a client may take to say who it is.
const helloLimit = 5 * time.Second

// session is a client that has shown the token.
type session struct {
	connection connection
	events     chan wire.Event // closed by nobody: what nobody reads is garbage
}

// serve takes clients until the process ends. Changes of several come one after the other.
func (s *supervisor) serve() {
	var receiving sync.Mutex
	for {
		connection, err := s.Door.accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			_ = s.attend(connection, &receiving) // what was wrong has been said to the client, if it is there to hear it
		}()
	}
}

func (s *supervisor) attend(connection connection, receiving *sync.Mutex) error {
	from := bufio.NewReaderSize(connection, 256<<10)
	if err := connection.SetDeadline(time.Now().Add(helloLimit)); err != nil {
		return err
	}
	hello, err := wire.ReadHello(from)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(hello.Token), []byte(s.Token)) != 1 {
		return wire.Write(connection, wire.Event{Type: wire.Refused, Message: "the token is wrong"})
	}
	if hello.Version != wire.Version {
		return wire.Write(connection, wire.Event{Type: wire.Refused, Version: wire.Version, Message: fmt.Sprintf("the supervisor speaks version %d, not %d", wire.Version, hello.Version)})
	}
	if err := connection.SetDeadline(time.Time{}); err != nil {
		return err
	}
	me := &session{connection: connection, events: make(chan wire.Event, 64)}
	gone := make(chan struct{})
	defer close(gone)
	go me.write(gone)
	s.come <- me
	defer func() { s.leave <- me }()
	for {
		change, err := wire.ReadChange(from)
		if err != nil {
			return err
		}
		if err := s.take(me, change, from, receiving); err != nil {
			return err
		}
	}
}

// take receives a change and has it made. An error ends the session.
func (s *supervisor) take(me *session, change wire.Change, from *bufio.Reader, receiving *sync.Mutex) error {
	receiving.Lock()
	defer receiving.Unlock()
	received, broken, err := s.store.receive(change, from)
	if broken {
		return err
	}
	if err != nil {
		me.say(wire.Event{Type: wire.Refused, ID: change.ID, Message: err.Error()})
		return nil
	}
	done := make(chan struct{})
	s.changes <- asked{received: received, by: me, done: done}
	<-done // what was received lies where the next change's bytes will be
	return nil
}

// say sends an event. A client that does not read loses its connection.
func (me *session) say(event wire.Event) {
	select {
	case me.events <- event:
	default:
		_ = me.connection.Close()
	}
}

// write sends what is said until the session is gone.
func (me *session) write(gone <-chan struct{}) {
	for {
		select {
		case event := <-me.events:
			if wire.Write(me.connection, event) != nil {
				_ = me.connection.Close()
				return
			}
		case <-gone:
			return
		}
	}
}
