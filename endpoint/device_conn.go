package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// deviceConn is a device that is connected, by one connection after the other,
// until its Run ends. What it knows of tasks and commands ends with the session
// that the server knows; only results outlive it, in the device's cache.
type deviceConn struct {
	device *Device
	link   *resilience.Link
	proto  *protocol.Client
	// up: there is a registered connection that is not known to be lost.
	up atomic.Bool
	// lasting: what the latest connection began, or goes on with, outlives it.
	lasting atomic.Bool

	// living ends with Run, and with it tools and heartbeats.
	living context.Context
	work   sync.WaitGroup
	queue  chan *job // closed when there will be no more
	// leftovers holds a token for each tool that runs, also for those that go
	// on after their time.
	leftovers chan struct{}

	mu   sync.Mutex
	jobs map[*job]struct{} // not answered yet
}

func newDeviceConn(d *Device) (*deviceConn, error) {
	c := &deviceConn{
		device:    d,
		queue:     make(chan *job, maxQueuedCommands),
		leftovers: make(chan struct{}, maxLeftoverTools),
		jobs:      map[*job]struct{}{},
	}
	o := &d.options
	var err error
	c.link, err = newReconnecting(o.Reconnect, connector{
		dial: o.dialing().dialer(),
		registration: func(ctx context.Context) *messages.ClientMessage {
			return messages.NewDeviceRegistration(o.ID, o.Platform, d.systemInfo(ctx))
		},
		registrationTimeout: o.RegistrationTimeout,
		retryFirst:          true,
		connected: func(connection resilience.Connection) {
			c.up.Store(true)
			c.lasting.Store(connection.Resumable)
			d.events.observe(c.event(Event{Kind: EventRegistered, Resumed: connection.Resumed}))
		},
		lost:   c.lost,
		logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	c.proto, err = protocol.NewClient(c.link, &protocol.Options{Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	c.proto.SetIdentity(protocol.Identity{ClientID: o.ID, ClientType: messages.Device})
	return c, nil
}

// lost notes the end of a connection, once.
func (c *deviceConn) lost(cause error) {
	if c.up.CompareAndSwap(true, false) {
		c.device.events.observe(c.event(Event{Kind: EventDisconnected, Err: fault(cause)}))
	}
}

func (c *deviceConn) close() {
	if err := c.link.Close(); err != nil {
		c.device.options.Logger.Debug("closing the connection failed", zap.Error(err))
	}
}

// serve runs commands until ctx or the connection ends.
func (c *deviceConn) serve(ctx context.Context) error {
	c.proto.Handle(messages.ServerCommand, c.handleCommand)
	c.proto.Handle(messages.ServerTask, c.handleTask)
	c.proto.Handle(messages.ServerTaskEnd, c.handleTaskEnd)
	c.proto.Handle(messages.ServerHeartbeat, c.handleHeartbeat)
	c.proto.Handle(messages.ServerError, c.handleError)
	c.proto.Handle(messages.ServerDeviceInfoRequest, c.handleInfoRequest)
	c.proto.OnInvalid(c.handleInvalid)
	c.proto.OnInterrupted(c.handleInterruption)

	var die context.CancelFunc
	c.living, die = context.WithCancel(ctx)
	c.work.Go(func() { c.worker(nil) })
	c.work.Go(c.heartbeats)
	err := c.proto.Run(ctx)
	die()
	close(c.queue) // Run has waited for the handlers.
	if isEnd(ctx, err) {
		err = nil
		c.close()
	} else if err == nil {
		// Run tells no clean end from another; the transport does.
		_, err = c.link.Receive(context.WithoutCancel(ctx))
	}
	c.work.Wait()
	return err
}

// heartbeats sends one heartbeat per interval.
func (c *deviceConn) heartbeats() {
	ticker := time.NewTicker(c.device.options.HeartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.living.Done():
			return
		}
		err := c.bounded(c.living, func(ctx context.Context) error { return protocol.SendHeartbeat(ctx, c.proto) })
		if err != nil {
			c.device.options.Logger.Debug("heartbeat not sent", zap.Error(err))
		}
	}
}

// handleTask answers the server that hands the device a task from elsewhere
// with the task message that starts it.
func (c *deviceConn) handleTask(ctx context.Context, m *messages.ServerMessage) error {
	if err := messages.ValidateTaskDispatch(m); err != nil {
		return err
	}
	task := messages.NewDispatchedTask(c.device.options.ID, c.device.options.Platform, m)
	return c.bounded(kept(ctx), func(ctx context.Context) error { return c.proto.Send(ctx, task) })
}

// handleTaskEnd ends what still runs for the task.
func (c *deviceConn) handleTaskEnd(_ context.Context, m *messages.ServerMessage) error {
	c.endJobs(m.SessionID)
	e := Event{Kind: EventTaskEnded, DeviceID: c.device.options.ID, SessionID: m.SessionID, TaskName: m.TaskName, Status: m.Status}
	if m.Status != messages.StatusCompleted || m.Error != "" {
		e.Err = &protocol.TaskError{SessionID: m.SessionID, End: m}
	}
	c.device.events.observe(c.event(e))
	return nil
}

// handleHeartbeat takes note of the answer to a heartbeat or, if there is a
// session, of a task that was accepted.
func (c *deviceConn) handleHeartbeat(_ context.Context, m *messages.ServerMessage) error {
	e := Event{Kind: EventHeartbeat}
	if m.SessionID != "" {
		e = Event{Kind: EventTaskAccepted, DeviceID: c.device.options.ID, SessionID: m.SessionID}
	}
	c.device.events.observe(c.event(e))
	return nil
}

// handleError takes note of an error of the server. It is never answered.
func (c *deviceConn) handleError(_ context.Context, m *messages.ServerMessage) error {
	err := &protocol.RemoteError{Message: m.Error, SessionID: m.SessionID, ID: m.ResponseID}
	c.device.options.Logger.Warn("server reports an error", zap.Error(err))
	c.device.events.observe(c.event(Event{Kind: EventRefused, SessionID: m.SessionID, Err: err}))
	return nil
}

// handleInvalid takes note of what is no valid message. The reference echoes
// errors, so it is not answered, unless it is a command that waits for results.
func (c *deviceConn) handleInvalid(ctx context.Context, invalid *protocol.MessageError) {
	c.device.options.Logger.Warn("received no valid message", zap.Error(invalid))
	c.device.events.observe(c.event(Event{Kind: EventRefused, SessionID: invalid.SessionID, Err: invalid}))
	if invalid.Type != string(messages.ServerCommand) || invalid.ID == "" {
		return
	}
	command := &messages.ServerMessage{Status: messages.StatusContinue, SessionID: invalid.SessionID, ResponseID: invalid.ID}
	answer := messages.NewCommandResults(c.device.options.ID, command, nil)
	answer.Error = fmt.Sprintf("the command is not valid: %s", describe(invalid))
	if err := c.bounded(kept(ctx), func(ctx context.Context) error { return c.proto.Send(ctx, answer) }); err != nil {
		c.device.options.Logger.Debug("answering an invalid command failed", zap.Error(err))
	}
}

// handleInfoRequest tells the server about the device.
func (c *deviceConn) handleInfoRequest(ctx context.Context, _ *messages.ServerMessage) error {
	return c.bounded(kept(ctx), func(ctx context.Context) error {
		return protocol.PushDeviceInfo(ctx, c.proto, c.device.systemInfo(ctx))
	})
}

// handleInterruption ends the commands of a server that has forgotten them. It
// gets no answers, unless it asks again.
func (c *deviceConn) handleInterruption(_ context.Context, err *transport.InterruptedError) {
	c.device.options.Logger.Info("the server has forgotten this device's commands", zap.Error(err))
	c.abandonJobs(!errors.Is(err, resilience.ErrSessionLost))
}

// bounded runs send with the send timeout. A server that takes in nothing for
// so long loses its connection; the next one may do better.
func (c *deviceConn) bounded(ctx context.Context, send func(context.Context) error) error {
	return bounded(ctx, c.device.options.SendTimeout, c.link.Drop, send)
}

// event fills in whom it is about.
func (c *deviceConn) event(e Event) Event {
	e.ClientID, e.Role = c.device.options.ID, messages.Device
	return e
}
