package endpoint

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// client is one client of the server, from its first message to its last: over
// one connection or, with a session that can be resumed, over several.
type client struct {
	server *Server
	// transport is the session, if there is one, from the confirmation on. Both
	// are set before confirmed is closed, and not changed later.
	transport transport.Transport
	proto     *protocol.Server
	// heard tells of signs of life on the connection.
	heard *heard

	// confirmed is closed when the registration was confirmed: nothing may be
	// sent before. gone is closed when the client has left the registry.
	confirmed, gone chan struct{}
	// commands are those of the tasks that the device runs.
	commands commandQueue
	// attached: the events say that the client has a connection.
	attached atomic.Bool
	// resuming is held while a later connection becomes the session's: what
	// follows from that is in the order of the connections.
	resuming sync.Mutex
	// unanswered are the commands that were given up.
	unanswered unanswered
	// principal is on whose behalf the client is here; nil for everyone's.
	principal *Principal
	// address is where the connection comes from, "" if that is unknown. While
	// unregistered is set, which the server's lock guards, it is counted.
	address      string
	unregistered bool
	// pace bounds what is read; nil before the registration.
	pace *pace
	// telemetry is news of what is in info; refreshing: a question of this client
	// about a device waits for it.
	telemetry  telemetry
	refreshing atomic.Bool
	// probe guards the client's id against who has the same credentials.
	probe probe
	// living ends with the server, or by evict, which makes Serve close the
	// connection.
	living context.Context
	evict  context.CancelCauseFunc
	// info is set before the client is in the registry, and never changed.
	info ClientInfo

	// sessions are the tasks asked for or run by this client, asked counts
	// those it asked for, and unended its parts in tasks whose end has not been
	// sent to everyone. Guarded by the server's lock.
	sessions map[*session]struct{}
	asked    int
	unended  int
}

// Serve serves one connection, which it owns from then on, until it ends; it
// closes it with 1001 (going away) when ctx ends or the server does. If the
// client has a session that can be resumed, Serve goes on until that ends; for
// a later connection of the session, until that connection ends. So ctx must
// not end with the connection.
//
// It returns nil after a clean end, a [*protocol.RegistrationError] if the
// client did not get to be registered, [ErrServerClosed] if it is closed
// already or ends, [ErrTooManyConnections] if it has as many clients as it may,
// and else what ended the connection.
func (s *Server) Serve(ctx context.Context, t transport.Transport) error {
	c, err := s.admit(ctx, t)
	if err != nil {
		return s.reject(ctx, t, err)
	}
	defer s.work.Done()
	return s.serve(ctx, c)
}

// reject ends a connection that was not admitted.
func (s *Server) reject(ctx context.Context, t transport.Transport, cause error) error {
	if from := visitIn(ctx); from.counted {
		s.dontExpect(from.address)
	}
	s.events.observe(Event{Kind: EventRejected, Err: cause})
	return s.turnAway(t, cause)
}

// serve serves a connection that was admitted.
func (s *Server) serve(ctx context.Context, c *client) error {
	defer s.dismiss(c)

	lifetime := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(c.living, func() { cancel(context.Cause(c.living)) })
	defer stop()

	resumed, err := c.register(ctx)
	if err != nil {
		if context.Cause(ctx) == ErrServerClosed {
			err = ErrServerClosed
		}
		return err
	}
	if resumed {
		return c.lend(lifetime)
	}
	err = c.run(ctx)
	if c.expelled() {
		err = ErrRateExceeded
	}
	s.part(c, err)
	return err
}

// part sees to what follows from the end of a registered client, because of err.
func (s *Server) part(c *client, err error) {
	// It is observed before anyone else can have the id.
	s.events.observe(c.event(Event{Kind: EventDisconnected, Err: err}))
	if session, ok := c.transport.(*resilience.Session); ok {
		session.Retire() // Who has the id next has a session of its own.
	}
	s.leave(c)
}

// admit makes room for a connection, which is then a part of the server's work.
func (s *Server) admit(ctx context.Context, t transport.Transport) (*client, error) {
	principal, err := s.principalOf(ctx)
	if err != nil {
		return nil, err
	}
	from := visitIn(ctx)
	// What a client may leave out is known only when its identity is pinned,
	// so messages are checked against their models alone, by the codec.
	t, heard := hear(t)
	proto, err := s.newProtocol(t)
	if err != nil {
		return nil, err
	}
	c := &client{
		server:    s,
		transport: t,
		proto:     proto,
		heard:     heard,
		principal: principal,
		address:   from.address,
		confirmed: make(chan struct{}),
		gone:      make(chan struct{}),
		sessions:  map[*session]struct{}{},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.full(); err != nil {
		return nil, err
	}
	if !from.counted {
		if err := s.unregistered.tooMany(s.options.Limits, c.address); err != nil {
			return nil, err
		}
		s.unregistered.add(c.address)
	}
	c.unregistered = true
	c.living, c.evict = context.WithCancelCause(s.lifetime)
	s.connections[c] = struct{}{}
	s.work.Add(1)
	return c, nil
}

func (s *Server) newProtocol(t transport.Transport) (*protocol.Server, error) {
	return protocol.NewServer(t, &protocol.Options{
		RegistrationTimeout: s.options.RegistrationTimeout,
		Logger:              s.logger,
	})
}

// full returns why no further connection is taken, or nil. The server is
// locked.
func (s *Server) full() error {
	switch {
	case s.draining && !s.awaiting():
		return ErrServerClosed
	case len(s.connections) >= s.options.MaxConnections && s.connected() >= s.options.MaxConnections:
		return ErrTooManyConnections
	default:
		return nil
	}
}

// connected returns how many connections there are: clients that have lost
// theirs, and are waited for, have none. The server is locked.
func (s *Server) connected() int {
	n := 0
	for c := range s.connections {
		if !c.detached() {
			n++
		}
	}
	return n
}

// turnAway ends a connection that the server does not take.
func (s *Server) turnAway(t transport.Transport, cause error) error {
	code, reason := transport.StatusTryAgainLater, ""
	switch {
	case errors.Is(cause, ErrServerClosed):
		code, reason = transport.StatusGoingAway, s.parting()
	case errors.Is(cause, ErrUnauthenticated), errors.Is(cause, errNamelessPrincipal):
		code = transport.StatusPolicyViolation
	}
	s.close(t, code, reason)
	return cause
}

// dismiss closes the connection, if nothing else has, and forgets it.
func (s *Server) dismiss(c *client) {
	s.counted(c)
	c.evict(nil)
	code, reason := transport.StatusGoingAway, s.parting()
	if c.expelled() {
		code, reason = transport.StatusPolicyViolation, rateExceeded
	}
	s.close(c.transport, code, reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.connections, c)
	s.drain.poke()
}

func (s *Server) close(t transport.Transport, code transport.StatusCode, reason string) {
	if err := closeWith(t, code, reason); err != nil {
		s.logger.Debug("closing a connection failed", zap.Error(err))
	}
}

// run hands the messages of a registered client to their handlers until the
// connection or ctx ends.
func (c *client) run(ctx context.Context) error {
	if err := c.setUp(); err != nil {
		return err
	}
	err := c.proto.Run(ctx)
	if isEnd(ctx, err) {
		return nil
	}
	return err
}

// setUp sets the handlers.
func (c *client) setUp() error {
	for _, t := range []messages.ClientMessageType{
		messages.ClientTask, messages.ClientHeartbeat, messages.ClientCommandResults, messages.ClientError,
		messages.ClientRegister, messages.ClientTaskEnd, messages.ClientDeviceInfoRequest, messages.ClientDeviceInfoResponse,
	} {
		c.proto.Handle(t, c.handle)
	}
	c.proto.OnInvalid(c.handleInvalid)
	c.watchSilence(c.heard)
	c.proto.OnLate(c.dropResults)
	c.proto.OnError(c.handlingFailed)
	if dir := c.server.options.FileDir; dir != "" {
		if err := c.proto.HandleFiles(dir, c.server.options.Files, c.handleFile); err != nil {
			return fmt.Errorf("endpoint: taking files into FileDir: %w", err)
		}
	}
	return nil
}

// handlingFailed takes note of the error of a handler: mostly that a client has
// gone before its answer.
func (c *client) handlingFailed(_ context.Context, _ *messages.ClientMessage, err error) {
	level := zap.InfoLevel
	if errors.As(err, new(*protocol.PanicError)) {
		level = zap.ErrorLevel
	}
	c.server.logger.Log(level, "handling a message failed", zap.String("client_id", c.info.ID), zap.Error(err))
}

// send sends m when the registration is confirmed.
func (c *client) send(ctx context.Context, m *messages.ServerMessage) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	return c.bounded(kept(ctx), func(ctx context.Context) error { return c.proto.Send(ctx, m) })
}

// ready waits until something may be sent.
func (c *client) ready(ctx context.Context) error {
	select {
	case <-c.confirmed:
		return nil
	default:
	}
	select {
	case <-c.confirmed:
		return nil
	case <-c.gone:
		return transport.ErrNotConnected
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// bounded runs send with the send timeout. A client that does not take a
// message in time loses its connection, and its session, so that it learns that
// it has missed something.
func (c *client) bounded(ctx context.Context, send func(context.Context) error) error {
	t := c.transport
	return bounded(ctx, c.server.options.SendTimeout, func(cause error) { abort(t, cause) }, send)
}

// bounded runs send with a timeout, after which it calls drop.
func bounded(ctx context.Context, timeout time.Duration, drop func(cause error), send func(context.Context) error) error {
	limited := lazyctx.WithTimeoutCause(ctx, timeout, ErrSlowConsumer)
	defer limited.Cancel(nil)
	err := send(limited)
	if err != nil && context.Cause(limited) == ErrSlowConsumer {
		drop(ErrSlowConsumer)
		return ErrSlowConsumer
	}
	return err
}

// setReadLimit limits the messages of the peer where t can do that.
func setReadLimit(t transport.Transport, limit int64) {
	if limiter, err := transport.As[transport.ReadLimiter](t); err == nil {
		limiter.SetReadLimit(limit)
	}
}

// expelled reports whether the client was disconnected because it sent too much.
func (c *client) expelled() bool { return errors.Is(context.Cause(c.living), ErrRateExceeded) }

// event fills in whom it is about, if anybody wants to know.
func (c *client) event(e Event) Event {
	if c.server.events.f == nil {
		return e
	}
	e.ClientID, e.Role, e.Principal = c.info.ID, c.info.Role, c.principal.owner()
	// Events may become lines of a log: there is nothing in them that a client
	// could write other lines with.
	if checkName(e.SessionID, maxSessionID) != nil {
		e.SessionID = ""
	}
	if checkName(e.DeviceID, maxClientID) != nil {
		e.DeviceID = ""
	}
	return e
}
