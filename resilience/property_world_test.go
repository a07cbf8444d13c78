package resilience_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// world is a client, a server and a network in the hands of a schedule.
type world struct {
	t      *testing.T
	s      *schedule
	seed   uint64
	stage  *stage
	memory *memoryNetwork // nil over websockets
	began  time.Time
	ctx    context.Context // of all sends
	cancel context.CancelFunc

	up, down ledger // to the server, to the client

	path  string // of the file store
	store resilience.Store

	serve    sync.WaitGroup // the server's side
	serveEnd chan struct{}

	mu       sync.Mutex
	link     *resilience.Link
	received chan struct{}      // closed when the link's receiver has ended
	stop     context.CancelFunc // of that receiver
	lives    int                // of the client
	session  transport.Transport
	sessions int
	history  []string
}

func newWorld(t *testing.T, s *schedule, seed uint64) *world {
	w := &world{t: t, s: s, seed: seed, stage: newStage(t), began: time.Now(), serveEnd: make(chan struct{})}
	w.ctx, w.cancel = context.WithTimeout(context.Background(), 2*time.Hour)
	w.stage.plain = s.plain
	w.up.init(w, "to the server")
	w.down.init(w, "to the client")
	w.restartResumer()
	if s.webSocket {
		w.stage.listen("server:80")
	} else {
		w.memory = &memoryNetwork{accept: func(at transport.Transport) {
			if err := w.stage.admit(context.Background(), at); err != nil {
				_ = at.Close() // It has failed already.
			}
		}}
	}
	if s.fileStore {
		w.path = filepath.Join(t.TempDir(), "session")
	} else {
		w.store = resilience.NewMemoryStore()
	}
	return w
}

func (w *world) age() time.Duration { return time.Since(w.began) }

// note writes down what happened, for a schedule that fails.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

func (w *world) restartResumer() {
	w.stage.restart(&resilience.ResumerOptions{MaxMessages: w.s.maxMessages, MaxBytes: w.s.maxBytes, Grace: w.s.grace})
}

// startClient makes a link, with the store of the one before.
func (w *world) startClient() bool {
	o := w.stage.options("device")
	if w.memory != nil {
		o.Dial = w.memory.dial
	}
	o.RetryFirst = true
	o.RegistrationTimeout = 5 * time.Second
	o.MaxBytes, o.MaxMessages = w.s.maxBytes, w.s.maxMessages
	o.Resume = nil
	if w.s.resume {
		if w.path != "" {
			store, err := resilience.NewFileStore(w.path, nil)
			if err != nil {
				w.t.Error(err)
				return false
			}
			w.store = store
		}
		o.Resume = &resilience.ResumeOptions{Store: w.store, Grace: w.s.grace}
	}
	l, err := resilience.NewLink(o)
	if err != nil {
		w.t.Error(err)
		return false
	}
	stop, cancel := context.WithCancel(context.Background())
	received := make(chan struct{})
	w.mu.Lock()
	w.lives++
	life := w.lives
	w.link, w.stop, w.received = l, cancel, received
	w.mu.Unlock()
	connected := make(chan error, 1)
	go func() { connected <- l.Connect(w.ctx, "ws://server/ws") }()
	if life == 1 {
		err = <-connected
	} else {
		synctest.Wait() // The link takes messages that can wait.
		select {
		case err = <-connected:
		default:
		}
	}
	if err != nil {
		w.t.Errorf("Connect: %v", err)
	}
	rng := rand.New(rand.NewPCG(w.seed, uint64(1000+life)))
	go func() {
		defer close(received)
		err := w.receiveAll(stop, rng, &w.down, l)
		w.note("%d ms: the client's receiver ended: %v", w.age().Milliseconds(), err)
	}()
	return err == nil
}

// stopClient ends the client as the end of its process does: the server is not
// told.
func (w *world) stopClient() {
	w.mu.Lock()
	l, stop, received := w.link, w.stop, w.received
	w.mu.Unlock()
	stop()
	<-received
	l.Abort(errCut)
	w.up.ended(l)
	if w.path != "" && w.s.resume {
		if err := w.store.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) restartClient(pause time.Duration) {
	w.stopClient()
	time.Sleep(pause)
	w.startClient()
}

// clientSide returns the client's transport.
func (w *world) clientSide() transport.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.link
}

// serverSide returns the server's latest session or connection.
func (w *world) serverSide() transport.Transport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.session
}

// acceptSessions serves the server's sessions, or connections if it is plain.
func (w *world) acceptSessions() {
	for {
		var session transport.Transport
		select {
		case session = <-w.stage.sessions:
		case <-w.serveEnd:
			return
		}
		w.mu.Lock()
		w.session = session
		w.sessions++
		n := w.sessions
		w.mu.Unlock()
		rng := rand.New(rand.NewPCG(w.seed, uint64(2000+n)))
		w.serve.Go(func() {
			err := w.receiveAll(context.Background(), rng, &w.up, session)
			w.down.ended(session)
			w.note("%d ms: session %d ended: %v", w.age().Milliseconds(), n, err)
			_ = session.Close() // What it says was said to the receiver.
		})
	}
}

// restartServer has a server that knows nothing take the place of the one there
// is.
func (w *world) restartServer() {
	w.restartResumer()
	if aborter, err := transport.As[transport.Aborter](w.serverSide()); err == nil {
		aborter.Abort(errCut)
	}
}

func (w *world) refuseDials(on bool) {
	if w.memory != nil {
		w.memory.refuseDials(on)
		return
	}
	w.stage.network.RefuseDials(on)
}

// heal ends what goes wrong for good.
func (w *world) heal() {
	if c := w.latestCable(); c != nil {
		for side := range c.ends {
			c.set(side, func(wire *memoryWire) { wire.left = 0 })
		}
	}
	w.stage.network.Apply(healLink)
}

// finish lets both sides deliver what they have, and closes them.
func (w *world) finish() {
	link := w.clientSide().(*resilience.Link)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	time.Sleep(time.Minute) // Pings find the last fault.
	for state := link.State(); state != transport.Connected; {
		var err error
		if state, err = link.WaitState(ctx, state); err != nil {
			w.t.Errorf("the link is %s: %v", state, err)
			break
		}
	}
	time.Sleep(time.Minute) // The server gives up what it lost.
	if err := link.Flush(ctx); err != nil {
		w.t.Errorf("the link's Flush: %v; %+v", err, link.Backlog())
	}
	if session, ok := w.serverSide().(*resilience.Session); ok {
		if err := session.Flush(ctx); err != nil {
			w.t.Errorf("the session's Flush: %v; %+v", err, session.Backlog())
		}
		if b := session.Backlog(); b.SendMessages != 0 || b.SendBytes != 0 {
			w.t.Errorf("the session keeps %+v", b)
		}
	}
	time.Sleep(time.Minute) // For what is under way, and for slow receivers.
	if b := link.Backlog(); b.SendMessages != 0 || b.SendBytes != 0 {
		w.t.Errorf("the link keeps %+v", b)
	}
	if err := link.Close(); err != nil {
		w.note("closing the link: %v", err)
	}
	<-w.received
	w.stop()
	w.up.ended(link)
	close(w.serveEnd)
	w.serve.Wait()
	if w.memory != nil {
		w.memory.serving.Wait()
	}
	w.cancel()
	if w.path != "" && w.s.resume {
		if err := w.store.Close(); err != nil {
			w.t.Error(err)
		}
	}
}
