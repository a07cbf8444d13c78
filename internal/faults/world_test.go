package faults

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// setting is what becomes of a part whose connection is lost.
type setting string

const (
	resumed  setting = "resumed"  // the default: the next connection goes on with the session
	replaced setting = "replaced" // the next connection begins anew
	single   setting = "single"   // there is no next connection
)

var settings = []setting{resumed, replaced, single}

// side is which lines are struck.
type side string

const (
	deviceLine        side = "device"
	constellationLine side = "constellation"
	bothLines         side = "both"
)

var sides = []side{deviceLine, constellationLine, bothLines}

// hits reports whether the line of the party of that name is one of them.
func (s side) hits(party string) bool { return s == bothLines || string(s) == party }

// The ids of the parts at the server.
const (
	deviceID = "dev"
	starsID  = "stars"
)

// plan is what a test wants of its world. Zero values mean the endpoints'
// defaults, and no pings.
type plan struct {
	setting setting
	// hit are the lines that will be struck. The pings are on these, before they
	// are healed: what a busy machine does to short ones is not tested.
	hit              side
	ping, serverPing time.Duration // intervals
	pingTimeout      time.Duration
	silence          time.Duration // of the server, and many heartbeats
	grace            time.Duration
	payload          int     // bytes of a tool's result
	always           []toxic // on the lines that are hit, before the first connection
}

// quickly tries again after a moment, whatever the failure asks for.
type quickly struct{}

func (quickly) NextDelay(int, error) (time.Duration, bool) { return 20 * time.Millisecond, true }

// party is the device or the constellation, with its line.
type party struct {
	name   string // of its side
	id     string // at the server
	line   *line
	events *recorder

	mu     sync.Mutex
	latest transport.Transport
}

var errCut = errors.New("the test dropped the connection")

// cut makes the party drop its connection.
func (p *party) cut(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	aborter, err := transport.As[transport.Aborter](p.latest)
	if err != nil {
		t.Fatal(err)
	}
	aborter.Abort(errCut)
}

// world is a server, a device and a constellation, with a line for each of the
// latter.
type world struct {
	t      *testing.T
	plan   plan
	server *endpoint.Server
	seen   *recorder // by the server
	tool   *tool
	// handled is what the task handler returned, task by task.
	mu      sync.Mutex
	handled []error

	device, constellation *party
	dev                   *endpoint.Device
	stars                 *endpoint.Constellation
	stopDevice            context.CancelFunc
	deviceEnded           chan error    // gets what Run returned,
	deviceEnd             chan struct{} // and then is closed
	loss                  chan struct{} // closed at the first loss of a connection
	losing                sync.Once
	struck                time.Time
	task                  <-chan outcome // the end of the held one
	healed                atomic.Bool
	shut                  sync.Once
}

// newWorld returns a world in which begin, if there is one, has succeeded and no
// connection was lost. Pings that are short enough for a test are too short for a
// machine that is very busy: then it begins anew.
func newWorld(t *testing.T, p plan, begin func(*world) error) *world {
	t.Helper()
	for range 20 {
		w := openWorld(t, p)
		err := w.connectAll()
		if err == nil && begin != nil {
			err = begin(w)
		}
		select {
		case <-w.loss:
			err = errors.Join(err, errSpoiled)
		default:
		}
		if err == nil {
			return w
		}
		if p.ping == 0 && p.silence == 0 {
			w.show()
			t.Fatal(err)
		}
		t.Logf("begins anew after %v", err)
		w.close()
	}
	t.Fatal("the machine is too busy for such short pings")
	panic("unreachable")
}

var errSpoiled = errors.New("a connection was lost before its time")

// openWorld returns a world with a server and clients that are not connected.
func openWorld(t *testing.T, p plan) *world {
	t.Helper()
	w := &world{
		t: t, plan: p, seen: newRecorder("server"), tool: newTool(p.payload), loss: make(chan struct{}),
		device:        &party{name: string(deviceLine), id: deviceID, events: newRecorder("device")},
		constellation: &party{name: string(constellationLine), id: messages.ConstellationClientID(starsID, deviceID), events: newRecorder("constellation")},
	}
	var err error
	w.server, err = endpoint.NewServer(&endpoint.ServerOptions{
		Handler: w.handle, Observer: w.observer(w.seen), SilenceTimeout: p.silence,
		Resume: &resilience.ResumerOptions{Grace: p.grace},
		Accept: func(rw http.ResponseWriter, r *http.Request) (transport.Transport, error) {
			name := strings.TrimPrefix(r.URL.Path, "/")
			t, err := websocket.Accept(rw, r, &websocket.AcceptOptions{Options: w.socket(name, p.serverPing)})
			if err != nil {
				return nil, err
			}
			return t, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(w.server)
	t.Cleanup(web.Close)
	w.device.line = newLine(t, web.Listener.Addr())
	w.constellation.line = newLine(t, web.Listener.Addr())
	for _, party := range w.parties(p.hit) {
		party.line.add(bothWays, p.always...)
	}
	t.Cleanup(w.close)

	beats := p.silence / 10
	w.dev, err = endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: deviceID, Dial: w.dial(w.device), Reconnect: w.reconnect(), HeartbeatInterval: beats,
		SystemInfo: &messages.SystemInfo{Platform: messages.PlatformLinux},
		Tools:      []endpoint.Tool{{Name: toolName, Type: messages.ToolAction, Run: w.tool.run}},
		Observer:   w.observer(w.device.events),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.stars, err = endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: starsID, Dial: w.dial(w.constellation), Reconnect: w.reconnect(), HeartbeatInterval: beats,
		Observer: w.observer(w.constellation.events),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// observer returns an observer that records, and tells of the first loss.
func (w *world) observer(r *recorder) func(endpoint.Event) {
	return func(e endpoint.Event) {
		r.observe(e)
		if e.Kind == endpoint.EventDetached || e.Kind == endpoint.EventDisconnected {
			w.losing.Do(func() { close(w.loss) })
		}
	}
}

// connectAll connects the device, then the constellation.
func (w *world) connectAll() error {
	w.t.Helper()
	w.startDevice()
	up := make(chan struct{})
	go func() {
		defer close(up)
		w.device.events.awaitOr(1, w.deviceEnd, endpoint.EventRegistered)
	}()
	receive(w.t, "the device to register", up)
	return w.connect()
}

// socket returns the options of one end of a connection of the party of that
// name.
func (w *world) socket(party string, ping time.Duration) *websocket.Options {
	if ping == 0 || !w.plan.hit.hits(party) || w.healed.Load() {
		ping = -1
	}
	return &websocket.Options{PingInterval: ping, PingTimeout: w.plan.pingTimeout}
}

func (w *world) dial(p *party) endpoint.Dialer {
	return func(ctx context.Context, _ string) (transport.Transport, error) {
		t := websocket.New(w.socket(p.name, w.plan.ping))
		if err := t.Connect(ctx, p.line.url+"/"+p.name); err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.latest = t
		return t, nil
	}
}

func (w *world) reconnect() *endpoint.ReconnectOptions {
	switch w.plan.setting {
	case replaced:
		return &endpoint.ReconnectOptions{Strategy: quickly{}, NoResume: true}
	case single:
		return &endpoint.ReconnectOptions{Off: true}
	default:
		return &endpoint.ReconnectOptions{Strategy: quickly{}, Grace: w.plan.grace}
	}
}

// startDevice runs the device until stopDevice or its own end.
func (w *world) startDevice() {
	ctx, stop := context.WithCancel(context.Background())
	ended, end := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(end)
		ended <- w.dev.Run(ctx)
	}()
	w.stopDevice, w.deviceEnded, w.deviceEnd = stop, ended, end
}

// connect connects the constellation.
func (w *world) connect() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return w.stars.Connect(ctx, deviceID, "ws://is.dialled.elsewhere")
}

// hold gives the device the task that is held, and waits until it acts.
func hold(w *world) error {
	w.task = w.ask(held, "")
	return w.awaitAction()
}

// awaitAction waits until the device acts, or a connection is lost.
func (w *world) awaitAction() error {
	w.t.Helper()
	acts := make(chan struct{})
	go func() {
		defer close(acts)
		select {
		case <-w.tool.began:
		case <-w.loss:
		}
	}()
	receive(w.t, "the action to begin", acts)
	return nil
}

// close ends everything, and returns when it has ended: nothing is observed any
// more.
func (w *world) close() {
	w.shut.Do(func() {
		w.tool.release()
		if w.stopDevice != nil {
			w.stopDevice()
			receive(w.t, "the device to stop", w.deviceEnd)
		}
		if w.stars != nil {
			within(w.t, "the constellation to close", func() { _ = w.stars.Close() })
		}
		within(w.t, "the server to close", func() { _ = w.server.Close() })
	})
}

// parties returns those that a side stands for.
func (w *world) parties(s side) []*party {
	var list []*party
	// The constellation first: what the server says of a lost device does not
	// reach it then.
	for _, p := range []*party{w.constellation, w.device} {
		if s.hits(p.name) {
			list = append(list, p)
		}
	}
	return list
}

// String is everything that was observed, in order of time for each observer.
func (w *world) String() string {
	return strings.Join([]string{w.seen.String(), w.device.events.String(), w.constellation.events.String()}, "")
}
