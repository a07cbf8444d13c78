package protocol

import (
	"context"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// newHeartbeat returns the heartbeat of a client, in its own role: servers
// refuse those of constellations that say "device" (spec section 8, D9).
func newHeartbeat(id Identity) *messages.ClientMessage {
	if id.ClientType == messages.Constellation {
		return messages.NewConstellationHeartbeat(id.ClientID, id.TargetID)
	}
	return messages.NewDeviceHeartbeat(id.ClientID)
}

// SendHeartbeat sends the client's heartbeat and does not wait for the reply,
// which goes to the handlers. While a transport that replaces its connections
// has none, the heartbeat is dropped without an error ([transport.Volatile]).
// It fails with [ErrNotRegistered] before the registration.
func SendHeartbeat(ctx context.Context, c *Client) error {
	id, err := c.registered()
	if err != nil {
		return err
	}
	return c.Send(transport.WithDelivery(ctx, transport.Volatile), newHeartbeat(id))
}

// Beat sends the client's heartbeat and waits for the reply, in the way of
// [AIPProtocol.Call]. It returns how long the reply took. Only one Beat may
// wait at a time; another one fails with [ErrDuplicateCall].
func Beat(ctx context.Context, c *Client) (time.Duration, error) {
	id, err := c.registered()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if _, err := c.Call(ctx, newHeartbeat(id), MatchHeartbeat()); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// AnswerHeartbeat sends a server's reply to a heartbeat.
func AnswerHeartbeat(ctx context.Context, s *Server) error {
	return s.Send(ctx, messages.NewHeartbeatReply())
}
