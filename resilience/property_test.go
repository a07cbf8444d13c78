package resilience_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

var (
	schedules = flag.Int("resilience.schedules", 1000, "how many random schedules to run")
	firstSeed = flag.Uint64("resilience.first", 1, "the seed of the first schedule")
	oneSeed   = flag.Uint64("resilience.seed", 0, "run the schedule with this seed alone")
)

// Protects: with sessions that resume, every message arrives exactly once and
// in order, or its sender is told that it may not have; without, nobody is told
// of a delivery that was not. See property_check_test.go for what is checked.
//
// Memory transports make it cheap enough for many schedules.
func TestSchedulesMemory(t *testing.T) { runSchedules(t, *schedules, false) }

// Protects: the same over websockets, with what a network does to bytes.
func TestSchedulesWebSocket(t *testing.T) { runSchedules(t, (*schedules+4)/5, true) }

func runSchedules(t *testing.T, n int, overWebSocket bool) {
	first := *firstSeed
	if *oneSeed != 0 {
		first, n = *oneSeed, 1
	}
	if testing.Short() {
		n = (n + 9) / 10
	}
	inBubbles(t, n, func(t *testing.T, i int) { runSchedule(t, first+uint64(i), overWebSocket) })
}

// inBubbles calls f with the numbers below n, each time in a bubble of its own,
// until one fails.
func inBubbles(t *testing.T, n int, f func(t *testing.T, i int)) {
	var next atomic.Int64
	var work sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		work.Go(func() {
			for !t.Failed() {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				synctest.Test(t, func(t *testing.T) { f(t, i) })
			}
		})
	}
	work.Wait()
}

// schedule is what a seed decides once.
type schedule struct {
	resume       bool // the client asks for sessions that resume
	plain        bool // the server does not know them
	large        bool // some messages are larger than the buffers
	restarts     bool // the server restarts
	clientEnds   bool // the client's process ends and begins again
	fileStore    bool
	messages     int
	faults       int
	maxBytes     int64
	maxMessages  int
	pace         time.Duration // the longest pause of a sender
	grace        time.Duration
	expires      bool // the network is away for longer than the grace
	webSocket    bool
	slowReceiver bool
}

func newSchedule(rng *rand.Rand, overWebSocket bool) schedule {
	one := func(in int) bool { return rng.IntN(in) == 0 }
	s := schedule{
		resume: !one(5), plain: one(10), large: one(6), restarts: one(5), clientEnds: one(3), fileStore: one(20),
		messages: 10 + rng.IntN(40), faults: 1 + rng.IntN(8),
		maxBytes: 4 << 10, maxMessages: 4 + rng.IntN(13),
		pace: time.Duration(rng.IntN(400)) * time.Millisecond, grace: 10 * time.Minute,
		webSocket: overWebSocket, slowReceiver: one(4),
	}
	if one(3) {
		s.pace = 0
	}
	if s.expires = one(8); s.expires {
		s.grace = 2 * time.Second
	}
	return s
}

// resumes reports whether sessions go on.
func (s *schedule) resumes() bool { return s.resume && !s.plain }

// lossless reports whether nothing happens that a session cannot survive.
func (s *schedule) lossless() bool {
	return s.resumes() && !s.large && !s.restarts && !s.expires
}

// The faults. Those of the network strike in one direction.
const (
	faultCut       = iota
	faultCutAfter  // a while later, in the middle of something
	faultStall     // and it goes on
	faultLate      // what was sent arrives, and the sender is not told for a while
	faultBlackHole // until pings find out
	faultDeadStall // it ends in a cut
	faultRefuse    // dials are refused for a while
	faultServerRestart
	faultClientRestart
	faultKinds
)

// runSchedule runs the schedule of one seed.
func runSchedule(t *testing.T, seed uint64, overWebSocket bool) {
	name := "TestSchedulesMemory"
	if overWebSocket {
		name = "TestSchedulesWebSocket"
	}
	defer func() {
		if t.Failed() {
			t.Logf("alone: go test ./resilience -race -run '^%s$' -count=20 -resilience.seed=%d", name, seed)
		}
	}()
	rng := rand.New(rand.NewPCG(seed, 17))
	s := newSchedule(rng, overWebSocket)
	w := newWorld(t, &s, seed)
	if !w.startClient() {
		return
	}
	w.serve.Go(w.acceptSessions)
	synctest.Wait()
	var senders sync.WaitGroup
	senders.Go(func() { w.sendAll(rand.New(rand.NewPCG(seed, 1)), &w.up, w.clientSide) })
	senders.Go(func() { w.sendAll(rand.New(rand.NewPCG(seed, 2)), &w.down, w.serverSide) })
	for range s.faults {
		if rng.IntN(3) > 0 {
			time.Sleep(time.Duration(rng.IntN(2500)) * time.Millisecond)
		}
		w.strike(rng)
	}
	w.heal()
	senders.Wait()
	w.finish()
	w.check()
	if t.Failed() {
		t.Logf("schedule: %+v", s)
	}
}

// strike lets one thing go wrong.
func (w *world) strike(rng *rand.Rand) {
	kind, side, after := rng.IntN(faultKinds), rng.IntN(2), rng.IntN(12)
	pause := time.Duration(rng.IntN(1500)) * time.Millisecond
	if w.s.expires {
		pause *= 4
	}
	w.note("%d ms: fault %d, side %d, after %d, for %v", w.age().Milliseconds(), kind, side, after, pause)
	switch kind {
	case faultRefuse:
		w.refuseDials(true)
		w.cut(side)
		time.Sleep(pause)
		w.refuseDials(false)
	case faultServerRestart:
		if w.s.restarts {
			w.restartServer()
		}
	case faultClientRestart:
		if w.s.clientEnds {
			w.restartClient(pause)
		}
	default:
		w.fault(kind, side, after, pause)
	}
}

// sendAll sends the messages of one direction, each over what is the transport
// at the time.
func (w *world) sendAll(rng *rand.Rand, l *ledger, current func() transport.Transport) {
	for n := 1; n <= w.s.messages; n++ {
		if w.s.pace > 0 && rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.Int64N(int64(w.s.pace))))
		}
		size := rng.IntN(200)
		switch {
		case w.s.large && rng.IntN(12) == 0:
			size = 4<<10 + rng.IntN(4<<10)
		case rng.IntN(6) == 0:
			size = 500 + rng.IntN(1500)
		}
		m := newParcel(n, size, rng.IntN(6) == 0)
		ctx, cancel := w.ctx, context.CancelFunc(func() {})
		switch rng.IntN(12) {
		case 0:
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
		case 1:
			ctx, cancel = context.WithCancel(ctx)
			stop := time.AfterFunc(time.Duration(rng.IntN(20))*time.Millisecond, cancel)
			defer stop.Stop()
		}
		switch rng.IntN(8) {
		case 0:
			m.delivery = transport.FailNow
		case 1:
			m.delivery = transport.Volatile
		default:
			m.delivery = transport.Buffered
		}
		to := current()
		if rng.IntN(10) == 0 {
			// A heartbeat is not counted. Its error is that of a heartbeat.
			_ = to.Send(transport.WithDelivery(ctx, transport.Volatile), heartbeat)
		}
		l.send(ctx, m, to)
		cancel()
	}
}

var heartbeat = []byte(`{"type":"heartbeat","status":"ok","timestamp":"2026-01-01T00:00:00Z"}`)

// receiveAll receives until the transport ends, or stop does.
func (w *world) receiveAll(stop context.Context, rng *rand.Rand, l *ledger, from transport.Transport) error {
	frames, err := transport.As[transport.FrameTransport](from)
	if err != nil {
		return err
	}
	in := l.receiver(from)
	for stop.Err() == nil {
		ctx, cancel := stop, context.CancelFunc(func() {})
		if rng.IntN(4) == 0 {
			ctx, cancel = context.WithTimeout(stop, time.Duration(rng.IntN(300))*time.Millisecond)
		}
		frame, err := frames.ReceiveFrame(ctx)
		expired := ctx.Err() != nil
		cancel()
		var interrupted *transport.InterruptedError
		switch {
		case err == nil:
			in.take(frame)
		case errors.As(err, &interrupted):
			in.interrupted(interrupted)
		case stop.Err() != nil && errors.Is(err, stop.Err()):
			return nil
		case expired && errors.Is(err, context.DeadlineExceeded):
		default:
			return fmt.Errorf("receive: %w", err)
		}
		if w.s.slowReceiver && rng.IntN(3) == 0 {
			time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
		}
	}
	return nil
}
