package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

// DeviceOptions configures a [Device]. The zero value of every field but ID,
// and of URL unless there is a Dial, means the default.
type DeviceOptions struct {
	// ID is the device's id on its server. It is required.
	ID string
	// URL is the server's address, such as "ws://host:5000/ws".
	URL string
	// Token is shown to the server in the URL, as ?token=, which is where the
	// reference's servers look, and no others need to: see Credentials.
	Token string
	// Credentials, instead of Token, return what is shown to the server as
	// Authorization: Bearer, anew for each connection.
	Credentials Credentials
	// TLS is for connections to a wss URL: whose certificates are trusted, and
	// the certificate of this device ([TLSFiles.ClientConfig]). It is copied.
	// Nil trusts the system's authorities. A URL that is not wss then fails with
	// [transport.ErrInvalidURL].
	TLS *tls.Config
	// Platform is one of the Platform constants of package messages; by
	// default the one this program runs on.
	Platform string
	// SystemInfo is what the device says about itself. Nil means what
	// [GatherSystemInfo] finds, at each registration and whenever the server
	// asks.
	SystemInfo *messages.SystemInfo
	// Tools are what commands can call, beside "list_tools".
	Tools []Tool
	// Dial opens the connection. Nil dials a WebSocket to URL, with the Token,
	// the Credentials and TLS, of which a Dial has its own.
	Dial Dialer
	// RegistrationTimeout is how long the server may take to confirm the
	// registration; zero means 15 seconds, negative means no bound.
	RegistrationTimeout time.Duration
	// HeartbeatInterval is the time between heartbeats; zero means 25 seconds,
	// negative means none.
	HeartbeatInterval time.Duration
	// CommandTimeout is how long one tool may run; zero means 5 minutes,
	// negative means no bound.
	CommandTimeout time.Duration
	// ResultCache bounds the results that the device keeps, for commands that
	// the server repeats.
	ResultCache ResultCacheOptions
	// SendTimeout is how long the server may take to read a message; the
	// connection is then given up. Zero means one minute, negative means no
	// bound.
	SendTimeout time.Duration
	// Reconnect says what becomes of lost connections. Nil replaces them.
	Reconnect *ReconnectOptions
	// Observer is told what happens, one event at a time. It must return
	// quickly and must not call the device.
	Observer func(Event)
	// Logger is told of what no return value reports. Nil is silent.
	Logger *zap.Logger
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *DeviceOptions) withDefaults() (DeviceOptions, error) {
	if o == nil || o.ID == "" {
		return DeviceOptions{}, invalid("ID is required")
	}
	out := *o
	if out.Dial == nil && out.URL == "" {
		return out, invalid("URL or Dial is required")
	}
	out.HeartbeatInterval = durationOr(out.HeartbeatInterval, defaultHeartbeatInterval)
	out.CommandTimeout = durationOr(out.CommandTimeout, defaultDeviceCommandTimeout)
	out.SendTimeout = durationOr(out.SendTimeout, defaultSendTimeout)
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
	if err := out.dialing().check(); err != nil {
		return out, err
	}
	if out.Platform == "" {
		out.Platform = platform()
	}
	if out.SystemInfo != nil {
		info := *out.SystemInfo
		out.SystemInfo = &info
	}
	return out, nil
}

func (o *DeviceOptions) dialing() *dialing {
	return &dialing{o.Dial, o.Token, o.Credentials, o.TLS, o.Logger}
}

// platform returns AIP's name for the platform this program runs on.
func platform() string {
	switch runtime.GOOS {
	case "windows":
		return messages.PlatformWindows
	case "android", "ios":
		return messages.PlatformMobile
	default:
		return messages.PlatformLinux
	}
}

// Device runs the commands of a server. Make one with [NewDevice]; all its
// methods may be called concurrently.
//
// A command that comes again, with the same ids and the same content, on this
// connection or a later one, is not run again: it is answered with the results
// that were kept ([ResultCacheOptions]). What the end of a connection or of a
// task cut off before it was done is not kept, and runs again. A server that
// repeats its commands after a loss has each of them done once, therefore, as
// long as the device's program lives and the cache reaches.
type Device struct {
	options DeviceOptions
	tools   toolbox
	results *resultCache // nil: none
	events  observer

	mu      sync.Mutex
	running bool
	conn    *deviceConn // registered; else nil
}

// NewDevice returns a device that is not connected. The options are copied. It
// fails with [ErrInvalidOptions].
func NewDevice(options *DeviceOptions) (*Device, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	tools, err := newToolbox(o.Tools)
	if err != nil {
		return nil, err
	}
	d := &Device{options: o, tools: tools, results: newResultCache(o.ResultCache)}
	d.events.f = o.Observer
	return d, nil
}

// Run connects, registers and serves commands until ctx ends; then everything
// it started has stopped, so a tool that ignores the end of its context holds
// it up. A connection that cannot be made, or is lost, is replaced as
// [ReconnectOptions] say.
//
// With a server that resumes sessions, commands go on while the connection is
// replaced. If the server has forgotten the session, because it was restarted,
// a tool that runs goes on nevertheless: its result is kept for the server to
// ask again. Otherwise the loss of the connection ends commands.
//
// It returns nil when ctx ended after the registration: the connection was
// closed in good order. Otherwise it returns a [*resilience.RetryError] with
// what ended the last connection, which matches [io.EOF] if the server closed
// it cleanly, or a [*protocol.RegistrationError], or the error of the Dialer;
// or it returns [ErrAlreadyRunning].
func (d *Device) Run(ctx context.Context) error {
	d.mu.Lock()
	if d.running {
		d.mu.Unlock()
		return ErrAlreadyRunning
	}
	d.running = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = false
	}()

	conn, err := newDeviceConn(d)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.link.Connect(ctx, d.options.URL); err != nil {
		return err
	}
	d.setConn(conn)
	err = conn.serve(ctx)
	d.setConn(nil)
	conn.lost(err)
	return err
}

// systemInfo returns what the device says about itself now.
func (d *Device) systemInfo(ctx context.Context) messages.Value {
	if d.options.SystemInfo != nil {
		return d.options.SystemInfo.Value()
	}
	info, err := GatherSystemInfo(ctx)
	if err != nil {
		d.options.Logger.Info("system information is incomplete", zap.Error(err))
	}
	info.DeviceID = d.options.ID
	return info.Value()
}

func (d *Device) setConn(conn *deviceConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conn = conn
}

// SendFile sends the file at path to the server; see
// [protocol.AIPProtocol.SendFile], whose options it takes. AIP does not
// acknowledge files: it returns when the file is on its way, and of a server
// that takes none ([ServerOptions]' FileDir) only the Observer and the Logger
// learn. With a server that resumes sessions, it goes on after the loss of a
// connection, and may begin without one. Otherwise it fails with
// [ErrNotConnected] while Run has no registered connection, and with a
// [*protocol.TransferError] when that is lost.
func (d *Device) SendFile(ctx context.Context, path string, options *protocol.SendFileOptions) (*protocol.FileResult, error) {
	d.mu.Lock()
	conn := d.conn
	d.mu.Unlock()
	switch {
	case conn == nil, !conn.up.Load() && !conn.lasting.Load():
		return nil, ErrNotConnected
	case conn.lasting.Load():
		ctx = kept(ctx)
	}
	return conn.proto.SendFile(ctx, path, options)
}

// isEnd reports whether err says that ctx has ended, and nothing else.
func isEnd(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, ctx.Err())
}
