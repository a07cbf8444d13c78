package peer

import (
	"context"
	"net/http"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// linkPeer is a resumable session: a resilience.Link over the transport, and a
// server with a Resumer.
func linkPeer() Peer {
	return Peer{Name: "aip link", Ours: true, Listen: listenLink, Dial: dialLink}
}

func listenLink(serve func(Conn)) (Listener, error) {
	resumer, err := resilience.NewResumer(nil)
	if err != nil {
		return nil, err
	}
	return listenHTTP(serve, func(w http.ResponseWriter, r *http.Request) (Conn, error) {
		t, err := websocket.Accept(w, r, nil)
		if err != nil {
			return nil, err
		}
		session, err := confirm(r.Context(), resumer, t)
		if err != nil {
			return nil, err // the dialling side gets no answer
		}
		return linkConn{session}, nil
	})
}

// confirm confirms the registration that arrives over t.
func confirm(ctx context.Context, resumer *resilience.Resumer, t transport.Transport) (transport.Transport, error) {
	server, err := protocol.NewServer(t, nil)
	if err != nil {
		return nil, err
	}
	registration, err := protocol.AwaitRegistration(ctx, server)
	if err != nil {
		return nil, err
	}
	return resumer.Confirm(ctx, t, registration, "")
}

func dialLink(ctx context.Context, addr string, dial DialFunc) (Conn, error) {
	link, err := resilience.NewLink(&resilience.LinkOptions{
		Dial: func(ctx context.Context, url string) (transport.Transport, error) {
			t := websocket.New(&websocket.Options{HTTPClient: httpClient(dial)})
			return t, t.Connect(ctx, url)
		},
		Registration: func(context.Context) (*messages.ClientMessage, error) {
			return messages.NewDeviceRegistration(messages.NewID(), messages.PlatformLinux, messages.Value{}), nil
		},
		Resume: new(resilience.ResumeOptions),
	})
	if err != nil {
		return nil, err
	}
	if err := link.Connect(ctx, "ws://"+addr); err != nil {
		return nil, err
	}
	return linkConn{link}, nil
}

// linkConn is an end of a session, which only a proper close ends.
type linkConn struct{ transport.Transport }

func (c linkConn) Send(message []byte) error {
	return c.Transport.Send(context.Background(), message)
}

func (c linkConn) Flush() error { return nil }

func (c linkConn) Receive(each func([]byte) error) error {
	return (&transportConn{Transport: c.Transport}).Receive(each)
}
