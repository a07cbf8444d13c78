package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/transport"
)

// ConstellationOptions configures a [Constellation]. The zero value of every
// field but Name means the default.
type ConstellationOptions struct {
	// Name tells this constellation from others; its client ids are
	// "name@device". It is required.
	Name string
	// Token is shown to the servers in the URL, as ?token=, which is where the
	// reference's servers look, and no others need to: see Credentials.
	Token string
	// Credentials, instead of Token, return what is shown to a server as
	// Authorization: Bearer, anew for each connection.
	Credentials Credentials
	// TLS is for connections to wss URLs: whose certificates are trusted, and
	// the certificate of this constellation ([TLSFiles.ClientConfig]). It is
	// copied. Nil trusts the system's authorities. A URL that is not wss then
	// fails with [transport.ErrInvalidURL].
	TLS *tls.Config
	// Dial opens the connections. Nil dials WebSockets, with the Token, the
	// Credentials and TLS, of which a Dial has its own.
	Dial Dialer
	// RegistrationTimeout is how long a server may take to confirm a
	// registration; zero means 15 seconds, negative means no bound.
	RegistrationTimeout time.Duration
	// HeartbeatInterval is the time between heartbeats on each connection,
	// which begin at once; zero means 25 seconds, negative means one heartbeat
	// and no more.
	HeartbeatInterval time.Duration
	// Reconnect says what becomes of lost connections. Nil replaces them.
	Reconnect *ReconnectOptions
	// AckTimeout is how long a server may take to accept or refuse a task;
	// then its connection is given up, since no later answer could be told from
	// that to another task. Zero means 30 seconds, negative means no bound.
	AckTimeout time.Duration
	// InfoTimeout is how long a server may take to say what it knows about a
	// device; zero means 10 seconds, negative means no bound.
	InfoTimeout time.Duration
	// NoDeviceInfo does not ask servers about their devices after registration;
	// see [Constellation.Info]. Tasks otherwise wait for the answer, or for
	// InfoTimeout: servers refuse questions and tasks in the same words.
	NoDeviceInfo bool
	// MaxTasksPerDevice is how many tasks of this constellation the server of a
	// device may have at a time, those that nobody waits for any more included.
	// Zero means 1, negative means no bound.
	MaxTasksPerDevice int
	// MaxQueued is how many more tasks may wait for a device; zero means 64,
	// negative means no bound.
	MaxQueued int
	// SendTimeout is how long a server may take to read a heartbeat; the
	// connection is then given up. Zero means one minute, negative means no
	// bound.
	SendTimeout time.Duration
	// Observer is told what happens, one event at a time, in order. It must
	// return quickly. Of the constellation it may call only what asks and waits
	// for nobody, such as Status, Info and Find.
	Observer func(Event)
	// Logger is told of what no return value reports. Nil is silent.
	Logger *zap.Logger
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *ConstellationOptions) withDefaults() (ConstellationOptions, error) {
	if o == nil || o.Name == "" {
		return ConstellationOptions{}, invalid("Name is required")
	}
	out := *o
	out.HeartbeatInterval = durationOr(out.HeartbeatInterval, defaultHeartbeatInterval)
	out.AckTimeout = durationOr(out.AckTimeout, defaultAckTimeout)
	out.InfoTimeout = durationOr(out.InfoTimeout, defaultInfoTimeout)
	out.SendTimeout = durationOr(out.SendTimeout, defaultSendTimeout)
	out.MaxTasksPerDevice = limitOr(out.MaxTasksPerDevice, defaultTasksPerDevice)
	out.MaxQueued = limitOr(out.MaxQueued, defaultMaxQueued)
	if out.RegistrationTimeout == 0 {
		out.RegistrationTimeout = defaultConfirmationTimeout
	}
	if out.Logger == nil {
		out.Logger = zap.NewNop()
	}
	if out.Reconnect != nil {
		reconnect := *out.Reconnect
		out.Reconnect = &reconnect
	}
	if out.TLS != nil {
		out.TLS = out.TLS.Clone()
	}
	return out, out.dialing().check()
}

func (o *ConstellationOptions) dialing() *dialing {
	return &dialing{o.Dial, o.Token, o.Credentials, o.TLS, o.Logger}
}

// The bounds of a device's tasks.
const (
	defaultTasksPerDevice = 1
	defaultMaxQueued      = 64
)

// Constellation gives tasks to devices, over one connection and through one
// queue per device. Make one with [NewConstellation]; all its methods may be
// called concurrently.
type Constellation struct {
	options ConstellationOptions

	// lifetime ends with Close; work counts the goroutines of connections.
	lifetime context.Context
	stop     context.CancelCauseFunc
	work     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	members map[string]*member // from Connect to Disconnect, by device
	events  []Event            // that the observer is yet to be told

	telling sync.Mutex // held while it is
}

// NewConstellation returns a constellation without connections. The options
// are copied. It fails with [ErrInvalidOptions].
func NewConstellation(options *ConstellationOptions) (*Constellation, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Constellation{options: o, members: map[string]*member{}}
	c.lifetime, c.stop = context.WithCancelCause(context.Background())
	return c, nil
}

// Connect connects to the server at url for the device deviceID, which has to
// be online there, and registers. If that connection is there already, or on
// its way, or being replaced, there is nothing more to do than wait for it; one
// for the same device at another url is an error matching [ErrInvalidOptions].
// ctx bounds the connecting only.
//
// Other errors are those of the Dialer, a [*protocol.RegistrationError], and
// [ErrClosed]. It makes one attempt. From then on a connection that is lost is
// replaced as [ReconnectOptions] say; when that gives up ([Constellation.Done]),
// call Connect again.
func (c *Constellation) Connect(ctx context.Context, deviceID, url string) error {
	for {
		l, mine, err := c.reserve(deviceID, url)
		if err != nil {
			return err
		}
		if mine {
			return l.open(ctx)
		}
		select {
		case <-l.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if l.err == nil {
			if here, err := l.await(ctx); here || err != nil {
				return err
			}
			continue
		}
		// Another caller's context is no reason for this one to give up.
		if !errors.Is(l.err, context.Canceled) && !errors.Is(l.err, context.DeadlineExceeded) {
			return l.err
		}
	}
}

// reserve returns the device's link, and whether the caller has to open it.
func (c *Constellation) reserve(deviceID, url string) (l *link, mine bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[deviceID]
	switch {
	case deviceID == "":
		return nil, false, invalid("a device id is required")
	case c.closed:
		return nil, false, ErrClosed
	case m == nil:
		m = &member{constellation: c, id: deviceID, phase: DeviceDisconnected, state: DeviceDisconnected, since: time.Now()}
		c.members[deviceID] = m
	case m.link != nil && m.link.url != url:
		return nil, false, invalid("device %q is connected by another URL; call Disconnect first", deviceID)
	case m.link != nil:
		return m.link, false, nil
	}
	l = newLink(m, url)
	m.link, m.url, m.attempts = l, transport.RedactURL(url), 0
	c.work.Add(1)
	return l, true, nil
}

// ready returns the device, if it has a link that is registered. The
// constellation is locked.
func (c *Constellation) ready(deviceID string) (*member, error) {
	if c.closed {
		return nil, ErrClosed
	}
	if m := c.members[deviceID]; m != nil && m.link != nil && m.link.registered() {
		return m, nil
	}
	return nil, ErrNotConnected
}

// link returns the registered connection for a device.
func (c *Constellation) link(deviceID string) (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, err := c.ready(deviceID)
	if err != nil {
		return nil, err
	}
	return m.link, nil
}

// Devices returns the devices with a registered connection, sorted by id.
func (c *Constellation) Devices() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for id, m := range c.members {
		if l := m.link; l != nil && l.registered() && l.up.Load() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Done returns a channel that is closed when the connection for a device has
// ended and will not be replaced. Without one it is closed already.
func (c *Constellation) Done(deviceID string) <-chan struct{} {
	l, err := c.link(deviceID)
	if err != nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return l.ended
}

// Disconnect closes the connection for a device, waits for its end, and forgets
// the device: [Constellation.Status] knows it no more. Tasks that wait for it
// fail with [ErrNotConnected], those that were sent with [ErrTaskLost]. It
// returns ErrNotConnected when nothing is known of the device, and while its
// first Connect goes on.
func (c *Constellation) Disconnect(deviceID string) error {
	c.mu.Lock()
	m := c.members[deviceID]
	if m == nil || m.link != nil && !m.link.registered() {
		defer c.mu.Unlock()
		return c.gone()
	}
	l := m.link
	c.mu.Unlock()
	if l != nil {
		l.stop()
		<-l.ended
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.members[deviceID] == m && m.link == nil {
		delete(c.members, deviceID)
	}
	return nil
}

// Close closes all connections and returns when everything that the
// constellation started has stopped. Tasks that were sent fail with
// [ErrTaskLost], those that wait with [ErrClosed]. It returns nil, also the second
// time.
func (c *Constellation) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop(ErrClosed)
	c.work.Wait()
	return nil
}
