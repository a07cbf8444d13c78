package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	natsHello = "hello" // a new client asks to be served
	natsWait  = 10 * time.Second
)

// natsPeer is nats.go through an embedded server. The serving side is one
// connection within the server's process; each client has a connection over the
// loopback and a pair of subjects.
func natsPeer() Peer {
	return Peer{Name: "nats.go", Listen: listenNATS, Dial: dialNATS}
}

func listenNATS(serve func(Conn)) (Listener, error) {
	l := new(natsListener)
	var err error
	l.server, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoLog: true, NoSigs: true,
		MaxPayload: MaxMessage, MaxPending: 1 << 30, WriteDeadline: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	l.server.Start()
	if !l.server.ReadyForConnections(natsWait) {
		l.server.Shutdown()
		return nil, errors.New("the NATS server does not start")
	}
	l.app, err = nats.Connect("", nats.InProcessServer(l.server))
	if err != nil {
		l.stop()
		return nil, err
	}
	_, err = l.app.Subscribe(natsHello, func(hello *nats.Msg) {
		client := string(hello.Data)
		conn, err := subscribeNATS(l.app, "to."+client, "from."+client)
		if err != nil {
			return // the client gets no answer, and reports that
		}
		l.conns.serve(conn, serve)
		_ = hello.Respond(nil) // the client gets no answer, and reports that
	})
	if err == nil {
		err = l.app.FlushTimeout(natsWait) // the server knows the subscription then
	}
	if err != nil {
		l.app.Close()
		l.stop()
		return nil, err
	}
	return l, nil
}

type natsListener struct {
	server *server.Server
	app    *nats.Conn
	conns  connections
}

func (l *natsListener) Addr() string { return l.server.ClientURL() }

func (l *natsListener) Close() error {
	l.conns.close()
	l.app.Close()
	l.stop()
	return nil
}

func (l *natsListener) stop() {
	l.server.Shutdown()
	l.server.WaitForShutdown()
}

func dialNATS(ctx context.Context, url string, _ DialFunc) (Conn, error) {
	nc, err := nats.Connect(url, nats.NoReconnect())
	if err != nil {
		return nil, err
	}
	client := nats.NewInbox()
	conn, err := subscribeNATS(nc, "from."+client, "to."+client)
	if err == nil {
		_, err = nc.RequestWithContext(ctx, natsHello, []byte(client))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	conn.owner = true
	return conn, nil
}

// subscribeNATS returns a connection that is two subjects of nc.
func subscribeNATS(nc *nats.Conn, to, from string) (*natsConn, error) {
	c := &natsConn{nc: nc, to: to, started: make(chan struct{}), ended: make(chan struct{})}
	var err error
	if c.sub, err = nc.Subscribe(from, c.message); err != nil {
		return nil, err
	}
	if err := c.sub.SetPendingLimits(-1, -1); err != nil {
		return nil, err
	}
	return c, nc.FlushTimeout(natsWait)
}

// natsConn is a pair of subjects. An empty message is the end.
type natsConn struct {
	nc    *nats.Conn
	to    string
	sub   *nats.Subscription
	owner bool // of nc

	started chan struct{} // closed when each is there
	each    func([]byte) error
	end     sync.Once
	ended   chan struct{} // closed when err is there
	err     error
}

func (c *natsConn) message(m *nats.Msg) {
	select {
	case <-c.started:
	case <-c.ended:
		return
	}
	if len(m.Data) == 0 {
		c.finish(errors.New("the other side closed"))
		return
	}
	if err := c.each(m.Data); err != nil {
		c.finish(err)
	}
}

func (c *natsConn) finish(err error) {
	c.end.Do(func() {
		c.err = err
		close(c.ended)
	})
}

func (c *natsConn) Send(message []byte) error { return c.nc.Publish(c.to, message) }

func (c *natsConn) Flush() error { return nil }

func (c *natsConn) Receive(each func([]byte) error) error {
	c.each = each
	close(c.started)
	<-c.ended
	return c.err
}

func (c *natsConn) Close() error {
	c.finish(errors.New("closed"))
	if c.nc.IsClosed() {
		return nil
	}
	err := c.sub.Unsubscribe()
	if c.owner {
		err = errors.Join(err, c.nc.Publish(c.to, nil), c.nc.FlushTimeout(natsWait))
		c.nc.Close()
	}
	return err
}
