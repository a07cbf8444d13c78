package resilience_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// parcel is one message of a schedule and all that is known of it.
type parcel struct {
	n        int
	text     []byte
	binary   []byte
	delivery transport.Delivery

	over    transport.Transport // it was sent over
	done    bool                // the send has returned
	err     error               // of the send
	receipt *transport.Receipt
	arrived int
	// reported is whether an interruption named it, and as what.
	reported bool
	outcome  transport.Outcome
}

func newParcel(n, size int, binary bool) *parcel {
	m := &parcel{n: n, text: fmt.Appendf(nil, `{"type":"task","status":"ok","n":%d,"pad":"%s"}`, n, strings.Repeat("x", size))}
	if binary {
		m.binary = bytes.Repeat([]byte{byte(n)}, size)
		m.text = fmt.Appendf(nil, `{"type":"binary_data","filename":"f","size":%d,"n":%d}`, size, n)
	}
	return m
}

// ledger is what is known of the messages of one direction.
type ledger struct {
	w    *world
	name string

	mu      sync.Mutex
	parcels map[int]*parcel
	gone    map[transport.Transport]bool // transports that have ended
	gaps    int                          // interruptions
}

func (l *ledger) init(w *world, name string) {
	l.w, l.name = w, name
	l.parcels, l.gone = map[int]*parcel{}, map[transport.Transport]bool{}
}

// ended notes that a transport for sends has ended.
func (l *ledger) ended(t transport.Transport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[t] = true
}

func (l *ledger) send(ctx context.Context, m *parcel, to transport.Transport) {
	ctx, m.receipt = transport.WithReceipt(transport.WithDelivery(ctx, m.delivery))
	m.over = to
	l.mu.Lock()
	l.parcels[m.n] = m
	l.mu.Unlock()
	var err error
	if m.binary == nil {
		err = to.Send(ctx, m.text)
	} else {
		frames, as := transport.As[transport.FrameTransport](to)
		if as != nil {
			panic(as)
		}
		err = frames.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: m.text}, transport.Frame{Kind: transport.Binary, Data: m.binary})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m.err, m.done = err, true
}

// receiver follows what one receiver gets.
type receiver struct {
	*ledger
	from      transport.Transport
	last      int
	announced *parcel
}

func (l *ledger) receiver(from transport.Transport) *receiver {
	return &receiver{ledger: l, from: from}
}

func (r *receiver) fail(format string, args ...any) {
	r.w.t.Errorf("seed %d, %s: %s", r.w.seed, r.name, fmt.Sprintf(format, args...))
}

// take notes a frame.
func (r *receiver) take(frame transport.Frame) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if frame.Kind == transport.Binary {
		m := r.announced
		r.announced = nil
		switch {
		case m == nil:
			r.fail("a binary frame that nobody announced")
		case !bytes.Equal(frame.Data, m.binary):
			r.fail("the binary frame of another message than %d", m.n)
		default:
			m.arrived++
		}
		return
	}
	if bytes.Equal(frame.Data, heartbeat) {
		return
	}
	m := r.find(frame.Data)
	switch {
	case m == nil:
		r.fail("a message that nobody sent: %s", frame.Data)
		return
	case r.announced != nil:
		r.fail("message %d in the middle of %d", m.n, r.announced.n)
	case m.n <= r.last:
		r.fail("message %d after %d", m.n, r.last)
	}
	r.last, r.announced = m.n, nil
	if m.binary != nil {
		r.announced = m
		return
	}
	m.arrived++
}

// find returns the message with that text. The ledger is locked.
func (l *ledger) find(text []byte) *parcel {
	var number struct{ N int }
	if json.Unmarshal(text, &number) != nil {
		return nil
	}
	if m := l.parcels[number.N]; m != nil && bytes.Equal(m.text, text) {
		return m
	}
	return nil
}

// interrupted notes what an interruption says of the other direction.
func (r *receiver) interrupted(e *transport.InterruptedError) {
	r.mu.Lock()
	r.gaps++
	r.mu.Unlock()
	r.announced = nil
	l := &r.w.up
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range e.Undelivered {
		if len(u.Frames) == 0 {
			continue // It was too large to be kept.
		}
		m := l.find(u.Frames[0].Data)
		switch {
		case m == nil:
			r.fail("undelivered is what nobody sent: %s", u.Frames[0].Data)
			continue
		case len(u.Frames) == 2 && !bytes.Equal(u.Frames[1].Data, m.binary):
			r.fail("undelivered is message %d with another binary frame", m.n)
		case (len(u.Frames) == 2) != (m.binary != nil):
			r.fail("undelivered is message %d with %d frames", m.n, len(u.Frames))
		case m.reported:
			r.fail("message %d is reported twice", m.n)
		}
		m.reported, m.outcome = true, u.Outcome
	}
}

// check checks what is known when everything is over.
func (w *world) check() {
	for _, l := range []*ledger{&w.up, &w.down} {
		l.mu.Lock()
		for n := 1; n <= w.s.messages; n++ {
			if text := l.wrong(l.parcels[n]); text != "" {
				m := l.parcels[n]
				w.t.Errorf("seed %d, %s: message %d (%s, %d bytes, binary %t): %s [send: %v, receipt: %v, arrived: %d, reported: %t %v]",
					w.seed, l.name, n, m.delivery, len(m.text)+len(m.binary), m.binary != nil, text, m.err, m.receipt.Outcome(), m.arrived, m.reported, m.outcome)
			}
		}
		if w.s.lossless() && l.gaps > 0 {
			w.t.Errorf("seed %d, %s: %d interruptions", w.seed, l.name, l.gaps)
		}
		l.mu.Unlock()
	}
	if w.s.lossless() && w.sessions != 1 {
		w.t.Errorf("seed %d: %d sessions", w.seed, w.sessions)
	}
	if w.t.Failed() {
		for _, line := range w.history {
			w.t.Log(line)
		}
	}
}

// wrong returns what is wrong with a message. The ledger is locked.
func (l *ledger) wrong(m *parcel) string {
	outcome := m.receipt.Outcome()
	final := false
	select {
	case <-m.receipt.Done():
		final = true
	default:
	}
	_, isLink := m.over.(*resilience.Link)
	_, isSession := m.over.(*resilience.Session)
	tracked := isLink || isSession // Others report nothing to receipts.
	refused := m.err != nil || m.delivery == transport.Volatile && final && outcome == transport.NotSent
	switch {
	case !m.done:
		return "its send did not return"
	case m.arrived > 1:
		return "it arrived more than once"
	case tracked && !final:
		return "its receipt is not final"
	case m.arrived > 0 && m.err != nil && transport.OutcomeOf(m.err) == transport.NotSent:
		return "it arrived though the error of its send says that it was not sent"
	case tracked && m.arrived > 0 && outcome == transport.NotSent:
		return "it arrived though its receipt says that it was not sent"
	case tracked && m.arrived == 0 && outcome == transport.Acked:
		return "its receipt says that it arrived"
	case outcome == transport.Acked && !l.w.s.resumes():
		return "nobody can have acknowledged it"
	case m.reported && m.outcome == transport.NotSent && m.arrived > 0:
		return "it arrived though the interruption says that it was not sent"
	case m.reported && outcome == transport.Acked:
		return "it is undelivered and acknowledged"
	case m.reported && m.outcome != transport.NotSent && m.outcome != transport.MaybeSent:
		return "undelivered with an odd outcome"
	}
	if m.arrived > 0 || refused {
		return ""
	}
	// It was accepted and did not arrive.
	switch {
	case l.w.s.lossless():
		return "it is lost"
	case l.w.s.resumes() && !m.reported && !l.gone[m.over]:
		return "it is lost, and nobody was told"
	case l.w.s.resumes() && tracked && outcome == transport.Sent:
		return "it is lost, and its receipt does not say so"
	}
	return ""
}
