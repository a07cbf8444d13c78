package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// ServerOptions configures a [Server]. The zero value of every field but
// Handler means the default.
type ServerOptions struct {
	// Handler runs the tasks. It is required.
	Handler TaskHandler
	// Token is what clients must show when they connect over HTTP: as ?token=
	// in the URL or as an Authorization: Bearer header. Empty lets everyone
	// in. [Server.Serve] does not ask for it. All who know it are the same: any
	// of them may register under any id that is free.
	Token string
	// Authenticate, instead of Token, says on whose behalf a client connects
	// over HTTP, which decides what it may register as. [Server.Serve] is told
	// by [WithPrincipal].
	Authenticate Authenticator
	// Authorize decides what registered clients may do with which devices, by an
	// error or nil. It is called before the device is looked for; the client is
	// not told the error. It may be called concurrently, and may call the
	// server. What the rules of spec section 5 refuse is refused all the same: a
	// device may use itself only, and a constellation that has named a device
	// only that one. Nil allows the rest, but tells a constellation that has
	// named no device about none.
	Authorize func(ctx context.Context, access Access) error
	// Limits bounds what clients may ask for. Nil means the defaults.
	Limits *Limits
	// ClientIP returns where a request comes from, for the Limits. Nil takes its
	// RemoteAddr: behind a proxy that is the proxy. Headers that say it have to
	// be the proxy's, not the client's.
	ClientIP func(r *http.Request) string
	// RegistrationTimeout is how long a connection may take to register; zero
	// means 10 seconds, negative means no bound.
	RegistrationTimeout time.Duration
	// CommandTimeout is how long a device may take to answer one COMMAND once
	// those that were sent before have ended; zero means 10 minutes, negative
	// means no bound.
	CommandTimeout time.Duration
	// SendTimeout is how long a client may take to read a message; its
	// connection is then given up, and its session if it has one: also if it is
	// away, and what was kept for it leaves no room for more. Zero means one
	// minute, negative means no bound.
	SendTimeout time.Duration
	// MaxRegistrationSize and MaxMessageSize limit the messages that are
	// received before and after the registration, in bytes; zero means 64 KiB
	// and 100 MiB, negative means no limit.
	MaxRegistrationSize, MaxMessageSize int64
	// MaxConnections limits connections, registered or not, and the clients, of
	// which some may have lost their connection for a while; zero means 16384,
	// negative means no limit.
	MaxConnections int
	// MaxTasks limits the running tasks that one client has asked for; zero
	// means 64, negative means no limit.
	MaxTasks int
	// DrainSpread is the time over which [Server.Shutdown] spreads the closing
	// of connections, so that their clients do not come back all at once; zero
	// means 10 ms per connection, at most 10 seconds, negative closes them at
	// once.
	DrainSpread time.Duration
	// RetryHint is the least time after which clients are asked to connect
	// again when the server ends: each is told a time between this and twice
	// as much, by the reason of the close (see [transport.CloseError.RetryAfter])
	// or, if it is only connecting, by the header Retry-After. Zero means one
	// second, negative says nothing. No more than an hour can be told.
	RetryHint time.Duration
	// FileDir is the directory for files that clients send; it must exist.
	// Empty takes no files. Files are the options; by default a name that is
	// taken gets a number.
	FileDir string
	Files   *protocol.ReceiveFileOptions
	// Resume configures the sessions that outlive their connection, for clients
	// that ask for one. Nil means the defaults. NoResume has no such sessions.
	Resume   *resilience.ResumerOptions
	NoResume bool
	// SilenceTimeout is how long a client may be silent; its connection is then
	// dropped. Zero means 6 minutes, three heartbeats of the reference's device
	// client; negative means no bound.
	SilenceTimeout time.Duration
	// ProbeTimeout is how long a client may take to answer a ping when another
	// one registers under its id on behalf of the same principal. If it does not,
	// its connection is half-open: it is given up with [ErrTakenOver], and the
	// new client has its place. If it does, the new one is refused. Zero means 5
	// seconds; negative takes no place of who is connected. Without principals
	// nobody's place is taken.
	ProbeTimeout time.Duration
	// DeviceInfoAge is how old what is known of a device may be when a
	// constellation asks for it. A device that is connected is then asked first,
	// and for two seconds waited for; one that does not answer, such as the
	// reference's, is asked once. Zero means 10 minutes; negative asks no devices.
	DeviceInfoAge time.Duration
	// ResultAge is how long [Server.TaskResult] tells how a task has ended; zero
	// means 10 minutes, negative means not at all.
	ResultAge time.Duration
	// Accept turns an HTTP request into a connection, or answers the request
	// and returns an error. Nil accepts WebSockets from programs and from
	// pages of the same origin.
	Accept func(w http.ResponseWriter, r *http.Request) (transport.Transport, error)
	// Observer is told what happens, one event at a time. It must return
	// quickly and must not call the server.
	Observer func(Event)
	// Logger is told of what no return value reports. Nil is silent.
	Logger *zap.Logger
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *ServerOptions) withDefaults() (ServerOptions, error) {
	if o == nil || o.Handler == nil {
		return ServerOptions{}, invalid("Handler is required")
	}
	out := *o
	out.CommandTimeout = durationOr(out.CommandTimeout, defaultServerCommandTimeout)
	out.SendTimeout = durationOr(out.SendTimeout, defaultSendTimeout)
	out.MaxRegistrationSize = limitOr(out.MaxRegistrationSize, defaultMaxRegistrationSize)
	out.MaxMessageSize = limitOr(out.MaxMessageSize, defaultMaxMessageSize)
	out.MaxConnections = limitOr(out.MaxConnections, defaultMaxConnections)
	out.MaxTasks = limitOr(out.MaxTasks, defaultMaxTasks)
	if out.RetryHint == 0 {
		out.RetryHint = defaultRetryHint
	}
	out.RetryHint = min(out.RetryHint, time.Hour)
	if out.Token != "" && out.Authenticate != nil {
		return ServerOptions{}, invalid("Token and Authenticate exclude each other")
	}
	out.Limits = out.Limits.withDefaults()
	if out.ResultAge == 0 {
		out.ResultAge = defaultResultAge
	}
	if out.DeviceInfoAge == 0 {
		out.DeviceInfoAge = defaultDeviceInfoAge
	}
	if out.ProbeTimeout == 0 {
		out.ProbeTimeout = defaultProbeTimeout
	}
	if out.SilenceTimeout == 0 {
		out.SilenceTimeout = defaultSilenceTimeout
	}
	files := protocol.ReceiveFileOptions{Existing: protocol.ExistingKept}
	if out.Files != nil {
		files = *out.Files
	}
	out.Files = &files
	if out.Logger == nil {
		out.Logger = zap.NewNop()
	}
	if out.Accept == nil {
		out.Accept = acceptWebSocket(out.MaxRegistrationSize, out.MaxMessageSize, out.Logger)
	}
	return out, out.checkFiles()
}

// checkFiles tries the directory and the options for files on a connection
// that leads nowhere, so that it is not each client that meets a mistake.
func (o *ServerOptions) checkFiles() error {
	if o.FileDir == "" {
		return nil
	}
	_, end := transport.NewPair(nil)
	probe, err := protocol.NewServer(end, nil)
	if err == nil {
		err = probe.HandleFiles(o.FileDir, o.Files, nil)
	}
	if err != nil {
		return fmt.Errorf("%w: FileDir and Files: %w", ErrInvalidOptions, err)
	}
	return nil
}

// Server accepts devices and constellations and runs tasks. Make one with
// [NewServer]; all its methods may be called concurrently.
type Server struct {
	options ServerOptions
	events  observer
	logger  *zap.Logger

	// lifetime ends when the server is closed; work counts the goroutines of
	// connections and tasks.
	lifetime context.Context
	stop     context.CancelCauseFunc
	work     sync.WaitGroup

	resumer    *resilience.Resumer    // nil: no sessions that outlive connections
	heartbeats *resilience.Heartbeats // nil: clients may be silent

	mu          sync.Mutex
	draining    bool // no new connections and tasks
	connections map[*client]struct{}
	online      map[string]*client  // registered, by id
	sessions    map[string]*session // tasks whose end has not been told to everyone, by id
	unended     int                 // tasks whose end has not been sent to everyone
	idle        chan struct{}       // closed when unended is 0, if someone waits for it
	drain       drain
	memory      taskMemory
	outcomes    outcomes
	// unregistered and principals, the clients by the name of their principal,
	// are counts.
	unregistered unregistered
	principals   map[string]int

	// registrations are counted by identity, failures by address, calls of the API
	// by principal or address.
	registrations, failures, calls rates
}

// NewServer returns a server that has no connections yet. The options are
// copied. It fails with [ErrInvalidOptions].
func NewServer(options *ServerOptions) (*Server, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		options:     o,
		logger:      o.Logger,
		connections: map[*client]struct{}{},
		online:      map[string]*client{},
		sessions:    map[string]*session{},
		principals:  map[string]int{},
		drain:       newDrain(),
		memory:      newTaskMemory(),
		outcomes:    outcomes{age: o.ResultAge},
	}
	s.events.f = o.Observer
	s.lifetime, s.stop = context.WithCancelCause(context.Background())
	if err := s.setUpResilience(); err != nil {
		return nil, err
	}
	return s, nil
}

// ClientInfo describes a registered client.
type ClientInfo struct {
	ID   string
	Role messages.ClientType
	// Principal names on whose behalf it is here; "" without principals.
	Principal string
	// Target is the device that a constellation named at its registration.
	Target string
	// Platform is a device's platform, as it said.
	Platform string
	// SystemInfo is the JSON object that a device sent about itself last, or
	// unset.
	SystemInfo messages.Value
	// Since is when it registered.
	Since time.Time
	// Detached: its connection is lost, and it has some time to come back to
	// its session, which goes on meanwhile.
	Detached bool
}

// Clients returns the registered clients, sorted by id.
func (s *Server) Clients() []ClientInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ClientInfo, 0, len(s.online))
	for _, c := range s.online {
		info := c.info
		info.SystemInfo, _ = c.systemInfo()
		info.Detached = c.detached()
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b ClientInfo) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// whenIdle returns a channel that is closed when there are no tasks. The
// server is locked.
func (s *Server) whenIdle() <-chan struct{} {
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.checkIdle()
	return idle
}

// checkIdle tells those who wait that there are no tasks. The server is locked.
func (s *Server) checkIdle() {
	if s.idle != nil && s.unended == 0 {
		close(s.idle)
		s.idle = nil
	}
}

// Close ends the server: running tasks are cancelled and end as failed, and
// connections are closed with 1001 (going away), all at once. It returns when
// everything that the server started has stopped; a task handler that ignores
// the end of its context therefore holds it up. It returns nil, also the second
// time. [Server.Shutdown] is the gentle way.
func (s *Server) Close() error {
	s.mu.Lock()
	s.beginDrain()
	idle := s.whenIdle()
	for _, session := range s.sessions {
		session.cancel(ErrServerClosed)
	}
	s.mu.Unlock()
	// The ends of the tasks go out before the connections are closed, but do
	// not wait long for clients that do not read.
	farewell := time.NewTimer(farewellTimeout)
	defer farewell.Stop()
	select {
	case <-idle:
	case <-farewell.C:
	}
	s.stop(ErrServerClosed)
	s.work.Wait()
	if s.heartbeats != nil {
		return s.heartbeats.Close()
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
