package endpoint

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// link is what a constellation has for one device: a connection, and the next
// one when that is lost, from the first attempt to the end.
type link struct {
	constellation *Constellation
	member        *member
	deviceID, url string
	ctx           context.Context // ends with the constellation, and by stop
	stop          context.CancelFunc

	// Set before ready is closed; err is why there is no connection.
	transport *resilience.Link
	proto     *protocol.Client
	err       error
	ready     chan struct{}
	// up: there is a registered connection that is not known to be lost.
	up atomic.Bool
	// ended is closed when everything of this link has stopped.
	ended chan struct{}

	// asking holds a token while a question waits for its answer: a refusal of
	// the reference does not say which question it refuses. In the end the
	// token is this link's own, so that nothing is asked any more.
	asking chan struct{}
	// tasks counts the goroutines that wait for answers. It is added to only
	// while this is its member's link.
	tasks sync.WaitGroup
}

func newLink(m *member, url string) *link {
	l := &link{
		constellation: m.constellation,
		member:        m,
		deviceID:      m.id,
		url:           url,
		ready:         make(chan struct{}),
		ended:         make(chan struct{}),
		asking:        make(chan struct{}, 1),
	}
	l.ctx, l.stop = context.WithCancel(m.constellation.lifetime)
	return l
}

// registered reports whether the registration was confirmed.
func (l *link) registered() bool {
	select {
	case <-l.ready:
		return l.err == nil
	default:
		return false
	}
}

// await waits until the registered link has a connection, if that is being
// replaced. It reports whether the link goes on.
func (l *link) await(ctx context.Context) (bool, error) {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	var err error
	for state := l.transport.State(); state != transport.Connected && err == nil; {
		state, err = l.transport.WaitState(waiting, state)
	}
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	<-l.ended
	return false, nil
}

// open connects and registers. It ends the link when that fails, and else
// leaves that to serve.
func (l *link) open(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(l.ctx, func() { cancel(ErrClosed) })
	defer stop()

	l.err = l.connect(ctx)
	if l.err == nil {
		close(l.ready)
		go l.serve()
		return nil
	}
	if errors.Is(context.Cause(ctx), ErrClosed) {
		l.err = ErrClosed
	}
	l.lost(l.err) // If it got as far as connected.
	state := DeviceFailed
	if errors.Is(l.err, context.Canceled) || errors.Is(l.err, ErrClosed) {
		state = DeviceDisconnected
	}
	l.drop(state, l.err)
	l.close()
	close(l.ready)
	return l.err
}

// connect opens the connection and registers.
func (l *link) connect(ctx context.Context) (err error) {
	options := &l.constellation.options
	l.transport, err = newReconnecting(l.reconnect(), connector{
		dial: options.dialing().dialer(),
		registration: func(context.Context) *messages.ClientMessage {
			return messages.NewConstellationRegistration(options.Name, l.deviceID)
		},
		registrationTimeout: options.RegistrationTimeout,
		connected:           l.connected,
		lost:                l.lost,
		logger:              options.Logger,
	})
	if err != nil {
		return err
	}
	l.proto, err = protocol.NewClient(l.transport, &protocol.Options{Logger: options.Logger})
	if err != nil {
		return err
	}
	l.proto.SetIdentity(protocol.Identity{
		ClientID: messages.ConstellationClientID(options.Name, l.deviceID), ClientType: messages.Constellation, TargetID: l.deviceID,
	})
	return l.transport.Connect(ctx, l.url)
}

// reconnect returns the options for the connections, with an observer that
// follows the attempts.
func (l *link) reconnect() *ReconnectOptions {
	var o ReconnectOptions
	if given := l.constellation.options.Reconnect; given != nil {
		o = *given
	}
	user := o.Observe
	o.Observe = func(e resilience.AttemptEvent) {
		l.attempt(e, o.Off)
		if user != nil {
			user(e)
		}
	}
	return &o
}

// attempt follows the attempts to connect. off: there is but the first.
func (l *link) attempt(e resilience.AttemptEvent, off bool) {
	switch {
	case e.Kind == resilience.AttemptStarted:
		l.update(func(m *member) {
			m.attempts++
			m.enter(DeviceConnecting, nil)
		})
	case e.Kind == resilience.AttemptFailed && l.registered():
		l.lost(e.Err) // If it got as far as connected.
		l.update(func(m *member) { m.enter(DeviceDisconnected, e.Err) })
	case e.Kind == resilience.AttemptsEnded && !off && errors.Is(e.Err, resilience.ErrGaveUp):
		l.update(func(m *member) { m.enter(DeviceFailed, e.Err) })
	}
}

// update changes the member, if this is its link.
func (l *link) update(change func(*member)) {
	c := l.constellation
	c.mu.Lock()
	if l.member.link == l {
		change(l.member)
	}
	c.mu.Unlock()
	c.tell()
}

// connected notes a registration.
func (l *link) connected(connection resilience.Connection) {
	l.update(func(m *member) {
		l.up.Store(true)
		m.note(Event{Kind: EventRegistered, Resumed: connection.Resumed})
		m.connection++
		m.enter(DeviceConnected, nil)
		if !connection.Resumed {
			m.session, m.settled = m.connection, l.constellation.options.NoDeviceInfo
			if session := m.session; !m.settled {
				l.tasks.Go(func() { l.inform(session) })
			}
		}
		if m.settled {
			m.settle()
		}
	})
}

// lost notes the end of a connection, once.
func (l *link) lost(cause error) {
	if !l.up.CompareAndSwap(true, false) {
		return
	}
	l.update(func(m *member) {
		m.attempts = 0
		m.note(Event{Kind: EventDisconnected, Err: fault(cause)})
		m.enter(DeviceDisconnected, fault(cause))
	})
}

// drop takes the link from its member, which then is in this state or, if that
// cannot be, in the one that it is in.
func (l *link) drop(state DeviceState, cause error) {
	l.update(func(m *member) {
		m.link = nil
		m.enter(state, cause)
		m.dismiss(cause)
	})
}

// close ends the link.
func (l *link) close() {
	l.stop()
	l.tasks.Wait()
	if l.transport != nil {
		if err := closeWith(l.transport, transport.StatusNormal, ""); err != nil {
			l.constellation.options.Logger.Debug("closing a connection failed", zap.Error(err))
		}
	}
	close(l.ended)
	l.constellation.work.Done()
}

// serve reads until the link ends.
func (l *link) serve() {
	l.proto.Handle(messages.ServerHeartbeat, func(context.Context, *messages.ServerMessage) error {
		l.update(func(m *member) {
			m.heartbeat = time.Now()
			m.note(Event{Kind: EventHeartbeat})
		})
		return nil
	})
	l.proto.Handle(messages.ServerError, l.handleError)
	beats := make(chan struct{})
	go func() {
		defer close(beats)
		l.heartbeats()
	}()
	err := l.proto.Run(l.ctx)
	if isEnd(l.ctx, err) {
		err = nil
	}
	l.lost(err)
	l.drop(DeviceDisconnected, err)
	l.stop()
	<-beats
	l.asking <- struct{}{}
	l.close()
}

// handleError takes note of an error that concerns no question.
func (l *link) handleError(_ context.Context, m *messages.ServerMessage) error {
	err := &protocol.RemoteError{Message: m.Error, SessionID: m.SessionID, ID: m.ResponseID}
	l.constellation.options.Logger.Warn("server reports an error", zap.String("device_id", l.deviceID), zap.Error(err))
	l.update(func(member *member) { member.note(Event{Kind: EventRefused, SessionID: m.SessionID, Err: err}) })
	return nil
}

// heartbeats sends one heartbeat at once and one per interval.
func (l *link) heartbeats() {
	options := &l.constellation.options
	ticker := time.NewTicker(options.HeartbeatInterval)
	defer ticker.Stop()
	for {
		err := bounded(l.ctx, options.SendTimeout, l.transport.Drop, func(ctx context.Context) error {
			return protocol.SendHeartbeat(ctx, l.proto)
		})
		if err != nil {
			options.Logger.Debug("heartbeat not sent", zap.Error(err))
		}
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
	}
}

// lock waits until no other question waits for its answer.
func (l *link) lock(ctx context.Context) error {
	select {
	case l.asking <- struct{}{}:
		return nil
	case <-l.ctx.Done():
		return ErrNotConnected
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *link) unlock() { <-l.asking }
