package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// handle handles a message of a registered client, one after the other. Its
// identity is the one that is pinned to the connection (protocol.PinIdentity).
func (c *client) handle(ctx context.Context, m *messages.ClientMessage) error {
	switch m.Type {
	case messages.ClientHeartbeat:
		return c.answerHeartbeat(ctx)
	case messages.ClientTask:
		return c.handleTask(ctx, m)
	case messages.ClientCommandResults:
		// What answers a command goes to Task.Do. This is the rest.
		c.dropResults(ctx, m)
		return nil
	case messages.ClientDeviceInfoRequest:
		return c.answerDeviceInfo(ctx, m)
	case messages.ClientDeviceInfoResponse:
		c.learn(m.Metadata)
		return nil
	case messages.ClientError:
		c.noteError(m)
		return nil
	default:
		return c.refuse(ctx, m, fmt.Sprintf("Unknown message type: %s", m.Type))
	}
}

func (c *client) answerHeartbeat(ctx context.Context) error {
	volatile := transport.WithDelivery(ctx, transport.Volatile)
	err := c.bounded(volatile, func(ctx context.Context) error { return protocol.AnswerHeartbeat(ctx, c.proto) })
	if err == nil {
		c.server.events.observe(c.event(Event{Kind: EventHeartbeat}))
	}
	return err
}

// dropResults takes note of results that nobody waits for: those of a task
// that is over, of a command that took too long, or of no command at all.
func (c *client) dropResults(_ context.Context, m *messages.ClientMessage) {
	c.answered(m.PrevResponseID)
	c.server.events.observe(c.event(Event{
		Kind: EventResultsDropped, DeviceID: c.info.ID, SessionID: m.SessionID, Count: len(m.ActionResults),
	}))
}

// noteError takes note of an error that the client reports. It is never
// answered.
func (c *client) noteError(m *messages.ClientMessage) {
	c.answered(m.PrevResponseID)
	err := &protocol.RemoteError{Message: clip(m.Error), SessionID: clip(m.SessionID), ID: clip(m.RequestID)}
	c.server.logger.Warn("client reports an error", zap.String("client_id", c.info.ID), zap.Error(err))
	c.server.events.observe(c.event(Event{Kind: EventRefused, SessionID: m.SessionID, Err: err}))
}

// maxNoted is how much is kept of what a client reports, in bytes.
const maxNoted = 1024

// clip cuts off what is too long to be noted.
func clip(text string) string {
	if len(text) <= maxNoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxNoted], "") + "..."
}

// refuse answers m with an error that carries what m is known by. A refused
// task also ends, unless this client has a task of that session running: that
// one has its own end.
func (c *client) refuse(ctx context.Context, m *messages.ClientMessage, text string) error {
	return c.refuseFor(ctx, m, text, errors.New(text))
}

// refuseFor is refuse with a cause that the client is not told.
func (c *client) refuseFor(ctx context.Context, m *messages.ClientMessage, text string, cause error) error {
	e := Event{Kind: EventRefused, SessionID: m.SessionID, DeviceID: m.TargetID, Err: cause}
	if m.Type != messages.ClientTask {
		c.server.events.observe(c.event(e))
		return c.bounded(kept(ctx), func(ctx context.Context) error { return c.proto.SendError(ctx, text, m) })
	}
	e.Kind = EventTaskRefused
	if m.TaskName != "" {
		e.TaskName = SafeTaskName(m.TaskName)
	}
	c.server.events.observe(c.event(e))
	return c.bounded(kept(ctx), func(ctx context.Context) error {
		if c.server.requested(c, m.SessionID) {
			return c.proto.SendError(ctx, text, m)
		}
		return protocol.RefuseTask(ctx, c.proto, m, text)
	})
}

// handleInvalid answers what is no valid message, or claims an identity that is
// not the connection's. The connection stays open.
func (c *client) handleInvalid(ctx context.Context, invalid *protocol.MessageError) {
	text := describe(invalid)
	if invalid.Type == string(messages.ClientError) {
		c.noteError(&messages.ClientMessage{SessionID: invalid.SessionID, Error: text})
		return
	}
	m := &messages.ClientMessage{
		Type: messages.ClientMessageType(invalid.Type), SessionID: invalid.SessionID, RequestID: invalid.ID,
	}
	if err := c.refuse(ctx, m, text); err != nil {
		c.server.logger.Debug("answering an invalid message failed", zap.Error(err))
	}
}

// describe says what is wrong with a message: a code, and what helps to find
// it. It holds nothing of the message.
func describe(invalid *protocol.MessageError) string {
	var (
		identity *protocol.IdentityError
		syntax   *codec.SyntaxError
		fields   *messages.ValidationError
	)
	switch {
	case errors.As(invalid.Err, &identity):
		return identity.Field + " does not match the registered connection"
	case errors.As(invalid.Err, &fields):
		return invalid.Code() + ": " + fields.Error()
	case errors.As(invalid.Err, &syntax):
		return invalid.Code() + ": " + syntax.Error()
	default:
		return invalid.Code()
	}
}

// answerDeviceInfo answers a question about a device.
func (c *client) answerDeviceInfo(ctx context.Context, m *messages.ClientMessage) error {
	if c.info.Role != messages.Constellation {
		return c.refuse(ctx, m, "DEVICE_INFO_REQUEST is permitted only for constellation clients")
	}
	if err := checkName(m.TargetID, maxClientID); err != nil {
		return c.refuseFor(ctx, m, invalidID, err)
	}
	if !c.mayAskAbout(m.TargetID) {
		return c.refuse(ctx, m, "Not authorized to request device info for this device")
	}
	if err := c.authorize(ctx, ActionDeviceInfo, m.TargetID); err != nil {
		return c.refuseFor(ctx, m, notAuthorized, err)
	}
	return c.tellDeviceInfo(ctx, m)
}

// mayAskAbout reports whether a constellation may be told about a device: that
// which it named at its registration. If it named none, Authorize decides;
// without one it is told about none.
func (c *client) mayAskAbout(deviceID string) bool {
	if c.info.Target == "" {
		return deviceID != "" && c.server.options.Authorize != nil
	}
	return deviceID == c.info.Target
}

// systemInfo returns what the device of that id said about itself; unset if it
// said nothing or is not there.
func (s *Server) systemInfo(id string) messages.Value {
	s.mu.Lock()
	defer s.mu.Unlock()
	if device := s.online[id]; device != nil {
		info, _ := device.systemInfo()
		return info
	}
	return messages.Value{}
}

// handleFile reports a file that came, or failed to.
func (c *client) handleFile(_ context.Context, file *protocol.FileResult, err error) error {
	c.server.events.observe(c.event(Event{Kind: EventFile, File: file, Err: err}))
	return err
}
