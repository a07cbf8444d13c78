package transporttest

import (
	"io"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Direction is one of the two ways through a connection.
type Direction int

// The directions.
const (
	// ToServer is from the side that dialled to the side that accepted.
	ToServer Direction = iota
	// ToClient is from the side that accepted to the side that dialled.
	ToClient
)

// String returns "to server" or "to client".
func (d Direction) String() string {
	if d == ToServer {
		return "to server"
	}
	return "to client"
}

// Directions are both directions, for faults in both of them.
var Directions = []Direction{ToServer, ToClient}

// Link is one connection of a [Network], with the controls for its faults. All
// methods may be called concurrently and at any time.
type Link struct {
	mu      sync.Mutex
	flows   [2]flow
	ends    [2]*conn
	cut     bool
	cutErr  error // what reads return after the cut; io.EOF if nil
	changed chan struct{}
}

// flow is one direction of a link. It is guarded by the link's lock.
type flow struct {
	segments []segment
	size     int // of all segments, in bytes
	buffer   int
	written  int64
	read     int64
	stalled  bool
	hole     bool
	delay    time.Duration
	rate     int64     // bytes per second; 0 for no limit
	busy     time.Time // when the last segment has left, at that rate
	cutAt    int64     // cut when so much was written; negative for never
	cutErr   error
	fin      bool // the writing end has closed
	finAt    time.Time
	writing  bool // a Write is running
	record   bool
	bytes    []byte
}

// segment is data that is readable from a moment on.
type segment struct {
	data []byte
	at   time.Time
}

// What a flow holds unless SetBuffer says otherwise, and how much of it becomes
// readable at once.
const (
	defaultBuffer = 64 << 10
	maxSegment    = 4 << 10
)

func newLink(addr string, number int) *Link {
	l := &Link{}
	for i := range l.flows {
		l.flows[i] = flow{buffer: defaultBuffer, cutAt: -1}
	}
	client, server := address("client:"+strconv.Itoa(number)), address(addr)
	l.ends[0] = &conn{link: l, out: &l.flows[ToServer], in: &l.flows[ToClient], local: client, remote: server}
	l.ends[1] = &conn{link: l, out: &l.flows[ToClient], in: &l.flows[ToServer], local: server, remote: client}
	return l
}

// watch returns a channel that is closed at the next change. The link is locked.
func (l *Link) watch() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// signal wakes everybody who waits. The link is locked.
func (l *Link) signal() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// change runs f under the lock and wakes everybody who waits.
func (l *Link) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	l.signal()
}

// Cut ends the connection now, for both sides: writes fail, and reads return
// what was underway, unless it was stalled, and then err. Nil stands for a
// connection that just ends: [io.EOF] for reads and [syscall.EPIPE] for writes;
// [syscall.ECONNRESET] is what a reset looks like.
func (l *Link) Cut(err error) {
	l.change(func() { l.doCut(err) })
}

func (l *Link) doCut(err error) {
	if l.cut {
		return
	}
	l.cut, l.cutErr = true, err
	for i := range l.flows {
		if f := &l.flows[i]; f.stalled || f.hole {
			f.drop()
		}
	}
}

// CutAfter cuts the connection, as [Link.Cut] does, when n bytes were written
// in the direction, counted from the connection's first byte; the other side
// gets exactly these. The write that reaches the limit seems to succeed, as one
// into a socket's buffer does.
func (l *Link) CutAfter(d Direction, n int64, err error) {
	l.change(func() {
		f := &l.flows[d]
		f.cutAt, f.cutErr = n, err
		if f.written >= n {
			l.doCut(err)
		}
	})
}

// Stall stops delivery in the direction: the reader waits, and the writer too
// when the buffer is full. The end of the connection is not delivered either.
func (l *Link) Stall(d Direction) {
	l.change(func() { l.flows[d].stalled = true })
}

// Resume ends a stall; what was written meanwhile is delivered.
func (l *Link) Resume(d Direction) {
	l.change(func() { l.flows[d].stalled = false })
}

// BlackHole makes the direction swallow everything for good: writes succeed,
// the reader waits and does not even learn that the other side closed.
func (l *Link) BlackHole(d Direction) {
	l.change(func() {
		l.flows[d].hole = true
		l.flows[d].drop()
	})
}

// SetDelay sets how long bytes written from now on take to arrive.
func (l *Link) SetDelay(d Direction, delay time.Duration) {
	l.change(func() { l.flows[d].delay = delay })
}

// SetRate sets how many bytes per second pass, of those written from now on;
// zero for no limit.
func (l *Link) SetRate(d Direction, bytesPerSecond int64) {
	l.change(func() { l.flows[d].rate = bytesPerSecond })
}

// SetBuffer sets how many bytes may be underway, written and not yet read,
// before writes wait. It is 64 KiB unless set.
func (l *Link) SetBuffer(d Direction, bytes int) {
	l.change(func() { l.flows[d].buffer = bytes })
}

// Record makes the link keep the bytes that are written from now on, in both
// directions, for [Link.Recorded].
func (l *Link) Record() {
	l.change(func() { l.flows[0].record, l.flows[1].record = true, true })
}

// Recorded returns a copy of the bytes written in the direction since
// [Link.Record], whether they were delivered or not.
func (l *Link) Recorded(d Direction) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]byte(nil), l.flows[d].bytes...)
}

// Written returns how many bytes were written in the direction.
func (l *Link) Written(d Direction) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flows[d].written
}

// Read returns how many bytes the other side has read in the direction.
func (l *Link) Read(d Direction) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.flows[d].read
}

// open returns the addresses of the ends that somebody has and did not close.
func (l *Link) open() []net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	var open []net.Addr
	for _, end := range l.ends {
		if end.owned && !end.closed {
			open = append(open, end.local)
		}
	}
	return open
}

// put takes over as much of p as there is room for and returns how much. The
// link is locked.
func (l *Link) put(f *flow, p []byte) int {
	n := len(p)
	if !f.hole {
		n = min(n, max(f.buffer-f.size, 0), maxSegment)
	}
	cut := f.cutAt >= 0 && f.written+int64(n) >= f.cutAt
	if cut {
		n = int(f.cutAt - f.written)
	}
	f.written += int64(n)
	if f.record {
		f.bytes = append(f.bytes, p[:n]...)
	}
	if !f.hole && n > 0 {
		f.segments = append(f.segments, segment{data: append([]byte(nil), p[:n]...), at: f.arrival(n)})
		f.size += n
	}
	if cut {
		l.doCut(f.cutErr)
		return len(p)
	}
	return n
}

// arrival returns when n bytes that are written now are readable.
func (f *flow) arrival(n int) time.Time {
	if now := time.Now(); f.busy.Before(now) {
		f.busy = now
	}
	if f.rate > 0 {
		f.busy = f.busy.Add(time.Duration(int64(n) * int64(time.Second) / f.rate))
	}
	return f.busy.Add(f.delay)
}

// get moves what is readable to p.
func (f *flow) get(p []byte) int {
	n := 0
	now := time.Now()
	for n < len(p) && len(f.segments) > 0 && !f.segments[0].at.After(now) {
		s := &f.segments[0]
		k := copy(p[n:], s.data)
		n += k
		if s.data = s.data[k:]; len(s.data) == 0 {
			f.segments[0] = segment{}
			f.segments = f.segments[1:]
		}
	}
	f.size -= n
	f.read += int64(n)
	return n
}

func (f *flow) drop() { f.segments, f.size = nil, 0 }

// ended reports what a read returns when the flow is empty: no error if more
// may come, and else the end, or when it is due.
func (l *Link) ended(f *flow) (due time.Time, err error) {
	switch {
	case l.cut && l.cutErr != nil:
		return time.Time{}, l.cutErr
	case l.cut:
		return time.Time{}, io.EOF
	case !f.fin || f.hole:
		return time.Time{}, nil
	case f.finAt.After(time.Now()):
		return f.finAt, nil
	default:
		return time.Time{}, io.EOF
	}
}

// broken returns why nothing can be written to a flow whose opposite is back.
func (l *Link) broken(back *flow) error {
	switch {
	case l.cut && l.cutErr != nil:
		return l.cutErr
	case l.cut:
		return syscall.EPIPE
	case back.fin && !back.hole && !back.stalled && !back.finAt.After(time.Now()):
		return syscall.EPIPE
	default:
		return nil
	}
}
