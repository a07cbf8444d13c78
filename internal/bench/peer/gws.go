package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/lxzan/gws"
)

// gwsPeer is gws, which calls a handler for each message, and gets its buffers
// back.
func gwsPeer() Peer {
	return Peer{
		Name:  "gws",
		Bytes: true,
		Listen: func(serve func(Conn)) (Listener, error) {
			return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
				handler := new(gwsHandler)
				// NewUpgrader fills in the options, so that each needs its own.
				options := &gws.ServerOption{ReadMaxPayloadSize: MaxMessage, WriteMaxPayloadSize: MaxMessage}
				conn, err := gws.NewUpgrader(handler, options).Upgrade(w, r)
				if err != nil {
					return nil, err
				}
				return &gwsConn{conn, handler}, nil
			})
		},
		Dial: func(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
			handler := new(gwsHandler)
			conn, _, err := gws.NewClient(handler, &gws.ClientOption{
				Addr:                "ws://" + addr,
				ReadMaxPayloadSize:  MaxMessage,
				WriteMaxPayloadSize: MaxMessage,
				HandshakeTimeout:    10 * time.Second,
				NewDialer:           func() (gws.Dialer, error) { return gwsDialer{ctx, dial}, nil },
			})
			if err != nil {
				return nil, err
			}
			return &gwsConn{conn, handler}, nil
		},
	}
}

// gwsDialer is a DialFunc in the form that gws has.
type gwsDialer struct {
	ctx  context.Context
	dial DialFunc
}

func (d gwsDialer) Dial(network, addr string) (net.Conn, error) {
	return d.dial(d.ctx, network, addr)
}

// gwsHandler takes what a connection receives. Its fields are used by the
// goroutine that reads alone.
type gwsHandler struct {
	gws.BuiltinEventHandler
	each func([]byte) error
	err  error
}

func (h *gwsHandler) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	if h.err != nil {
		return
	}
	if h.err = h.each(message.Bytes()); h.err != nil {
		_ = conn.NetConn().Close() // the only way to end the loop
	}
}

func (h *gwsHandler) OnClose(_ *gws.Conn, err error) {
	if h.err == nil {
		h.err = err
	}
}

type gwsConn struct {
	conn    *gws.Conn
	handler *gwsHandler
}

func (c *gwsConn) Send(message []byte) error { return c.conn.WriteMessage(gws.OpcodeText, message) }

func (c *gwsConn) Flush() error { return nil }

func (c *gwsConn) Receive(each func([]byte) error) error {
	c.handler.each = each
	c.conn.ReadLoop()
	return c.handler.err
}

func (c *gwsConn) Close() error {
	err := c.conn.NetConn().Close()
	if errors.Is(err, net.ErrClosed) { // the handler or the library did
		return nil
	}
	return err
}
