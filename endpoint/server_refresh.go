package endpoint

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// refreshWait is how long a device may take to say something new about itself. It
// is less than the time that constellations wait for an answer.
const refreshWait = 2 * time.Second

// telemetry is what a device says about itself after its registration. It is
// guarded by the server's lock.
type telemetry struct {
	info   messages.Value
	at     time.Time     // zero: it has said nothing since then
	asked  chan struct{} // closed when it has answered, or will not; nil while it is not asked
	silent bool          // it does not answer, as the reference's client
}

// systemInfo returns what a device has said about itself last, and when. The
// server is locked.
func (c *client) systemInfo() (messages.Value, time.Time) {
	if c.telemetry.at.IsZero() {
		return c.info.SystemInfo, c.info.Since
	}
	return c.telemetry.info, c.telemetry.at
}

// learn takes note of what a device says about itself, asked or not.
func (c *client) learn(info messages.Value) {
	if c.info.Role != messages.Device || !info.IsObject() || info.Len() > maxInfoSize {
		return
	}
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &c.telemetry
	t.info, t.at, t.silent = info, time.Now(), false
	if t.asked != nil {
		close(t.asked)
		t.asked = nil
	}
}

// stale returns the device of that id if what is known of it is too old, and it
// may be asked, with what is closed when it has answered; and whether the caller
// is to ask it.
func (s *Server) stale(id string) (device *client, asked chan struct{}, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.online[id]
	if s.options.DeviceInfoAge < 0 || c == nil || c.info.Role != messages.Device || c.telemetry.silent || c.detached() {
		return nil, nil, false
	}
	if _, at := c.systemInfo(); time.Since(at) < s.options.DeviceInfoAge {
		return nil, nil, false
	}
	if c.telemetry.asked == nil {
		c.telemetry.asked, first = make(chan struct{}), true
	}
	return c, c.telemetry.asked, first
}

// refresh asks a device about itself and waits for its answer, which stale has
// found to be due.
func (s *Server) refresh(ctx context.Context, device *client, asked chan struct{}, first bool) {
	ctx, cancel := context.WithTimeout(ctx, refreshWait)
	defer cancel()
	if first {
		err := device.send(ctx, &messages.ServerMessage{
			Type: messages.ServerDeviceInfoRequest, Status: messages.StatusOK,
			Timestamp: messages.Timestamp(time.Now()), ResponseID: messages.NewID(),
		})
		if err != nil {
			s.logger.Debug("a device was not asked about itself", zap.String("client_id", device.info.ID), zap.Error(err))
		}
	}
	select {
	case <-asked:
	case <-device.gone:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := &device.telemetry; first && t.asked == asked {
		t.asked, t.silent = nil, errors.Is(ctx.Err(), context.DeadlineExceeded)
		close(asked)
	}
}

// tellDeviceInfo answers a constellation's question about a device, after asking
// the device if need be: that does not hold up the constellation's messages. Of
// several questions at a time one waits; the others are answered with what is
// known.
func (c *client) tellDeviceInfo(ctx context.Context, m *messages.ClientMessage) error {
	if !c.refreshing.CompareAndSwap(false, true) {
		return c.sendDeviceInfo(ctx, m)
	}
	device, asked, first := c.server.stale(m.TargetID)
	if device == nil {
		c.refreshing.Store(false)
		return c.sendDeviceInfo(ctx, m)
	}
	ctx = c.living // It outlives this message, and ends with the client.
	c.server.work.Go(func() {
		defer c.refreshing.Store(false)
		c.server.refresh(ctx, device, asked, first)
		if err := c.sendDeviceInfo(ctx, m); err != nil {
			c.server.logger.Debug("a question about a device was not answered", zap.String("client_id", c.info.ID), zap.Error(err))
		}
	})
	return nil
}

// sendDeviceInfo answers from the registry.
func (c *client) sendDeviceInfo(ctx context.Context, m *messages.ClientMessage) error {
	info := c.server.systemInfo(m.TargetID)
	err := c.bounded(kept(ctx), func(ctx context.Context) error { return protocol.AnswerDeviceInfo(ctx, c.proto, m, info) })
	if err == nil {
		c.server.events.observe(c.event(Event{Kind: EventDeviceInfo, DeviceID: m.TargetID}))
	}
	return err
}
