package peer

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/aip-go/aip/transport"
)

// memoryListener accepts connections within the process.
type memoryListener struct {
	listener *transport.MemoryListener
	accepted chan struct{}
	conns    connections
}

// memoryNames numbers the listeners of the process.
var memoryNames atomic.Int64

func listenMemory(hub *transport.MemoryHub, serve func(Conn)) (Listener, error) {
	listener, err := hub.Listen("bench"+strconv.FormatInt(memoryNames.Add(1), 10), nil)
	if err != nil {
		return nil, err
	}
	l := &memoryListener{listener: listener, accepted: make(chan struct{})}
	go func() {
		defer close(l.accepted)
		for {
			t, err := listener.Accept(context.Background())
			if err != nil {
				return // closed
			}
			l.conns.serve(&transportConn{t, t.Abort}, serve)
		}
	}()
	return l, nil
}

func (l *memoryListener) Addr() string { return l.listener.URL() }

func (l *memoryListener) Close() error {
	err := l.listener.Close()
	<-l.accepted
	l.conns.close()
	return err
}
