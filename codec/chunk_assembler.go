package codec

import (
	"container/list"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"
)

// Defaults of [AssemblerOptions].
const (
	DefaultMaxUnfinished = 16               // messages
	DefaultChunkTimeout  = 60 * time.Second // between two chunks of a message
)

// AssemblerOptions configures an [Assembler]. Nil is all defaults.
type AssemblerOptions struct {
	// MaxSize limits one message, in bytes. Zero is [DefaultMaxSize],
	// negative is no limit.
	MaxSize int
	// MaxMessages limits how many messages may be unfinished at once. Zero is
	// [DefaultMaxUnfinished], negative is no limit.
	MaxMessages int
	// MaxBuffered limits the bytes held for all unfinished messages together;
	// while one of them moves to a larger buffer, its old one comes on top.
	// Zero is the larger of MaxSize and [DefaultMaxSize], negative is no
	// limit. Less than MaxSize is invalid: the largest message would not fit.
	MaxBuffered int
	// Timeout is how long a message may go without a new chunk. Zero is
	// [DefaultChunkTimeout], negative is forever.
	Timeout time.Duration
	// OnTimeout is called for each message that is given up after Timeout,
	// with an error matching [ErrChunkTimeout], by the goroutine that called
	// Add or Expire. Nil ignores them.
	OnTimeout func(*ChunkError)
}

// Assembler puts the chunks of a [Chunker] together again. Use one for each
// connection, as the ids of two connections are not related.
//
// Chunks of several messages may come interleaved, those of one message only
// in order. A chunk that breaks a rule ends its message, whose memory is freed
// and whose later chunks are [ErrChunkMissing]; other messages go on. A header
// is not believed: memory grows with what has come, at most to twice that, and
// never beyond the size claimed.
//
// Messages that are overdue are given up whenever Add or Expire is called.
// They count against the limits until then, so that an Assembler without
// traffic holds at most MaxBuffered bytes. It has no goroutine and no timer.
// It may be used by any number of goroutines at once, though the order of
// chunks matters.
type Assembler struct {
	opts AssemblerOptions // with defaults in place, and no limit as the largest number

	mu       sync.Mutex
	messages map[uint64]*list.Element
	byAge    list.List // of *unfinished, the one longest without a chunk first
	buffered int       // capacity of their buffers together
}

// unfinished is a message of which some chunks have come.
type unfinished struct {
	first chunkHeader
	data  []byte
	last  time.Time // when its last chunk came
}

// NewAssembler returns an Assembler, or an error matching [ErrChunkOptions].
func NewAssembler(opts *AssemblerOptions) (*Assembler, error) {
	var o AssemblerOptions
	if opts != nil {
		o = *opts
	}
	o.MaxSize = limitOf(o.MaxSize, DefaultMaxSize)
	o.MaxMessages = limitOf(o.MaxMessages, DefaultMaxUnfinished)
	o.MaxBuffered = limitOf(o.MaxBuffered, max(o.MaxSize, DefaultMaxSize))
	if o.Timeout == 0 {
		o.Timeout = DefaultChunkTimeout
	}
	if o.MaxBuffered < o.MaxSize {
		return nil, fmt.Errorf("%w: MaxBuffered is %d, want at least MaxSize, %d", ErrChunkOptions, o.MaxBuffered, o.MaxSize)
	}
	return &Assembler{opts: o, messages: make(map[uint64]*list.Element)}, nil
}

// Add takes one frame. If it completes a message, it returns that message and
// true; the message is the caller's. The frame is not kept. The error is a
// [*ChunkError]; it concerns this frame's message only.
func (a *Assembler) Add(frame []byte) (message []byte, complete bool, err error) {
	a.mu.Lock()
	now := time.Now()
	overdue := a.expire(now)
	h, part, err := parseChunk(frame)
	if err == nil {
		message, complete, err = a.add(h, part, now)
	} else if errors.Is(err, ErrChunkSize) {
		a.drop(h.id)
	}
	a.mu.Unlock()

	a.report(overdue)
	if err != nil {
		return nil, false, &ChunkError{ID: h.id, Offset: h.offset, Err: err}
	}
	return message, complete, nil
}

// Expire gives up the messages that are overdue and returns how many they
// were. Call it now and then, such as with each heartbeat, to free their
// memory while no chunks come.
func (a *Assembler) Expire() int {
	a.mu.Lock()
	overdue := a.expire(time.Now())
	a.mu.Unlock()
	a.report(overdue)
	return len(overdue)
}

// Unfinished returns how many messages are unfinished, and the memory they
// take in bytes.
func (a *Assembler) Unfinished() (messages, bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.messages), a.buffered
}

// add adds a part to its message, which it drops on an error.
func (a *Assembler) add(h chunkHeader, part []byte, now time.Time) ([]byte, bool, error) {
	m, err := a.find(h)
	if err == nil {
		err = a.grow(m, len(part))
	}
	if err != nil {
		a.drop(h.id)
		return nil, false, err
	}
	m.data = append(m.data, part...)
	m.last = now
	a.byAge.MoveToBack(a.messages[h.id])
	if uint64(len(m.data)) < h.size {
		return nil, false, nil
	}
	a.drop(h.id)
	if crc32.Checksum(m.data, castagnoli) != h.checksum {
		return nil, false, ErrChunkChecksum
	}
	return m.data, true, nil
}

// find returns the message that a chunk continues or begins.
func (a *Assembler) find(h chunkHeader) (*unfinished, error) {
	if e, ok := a.messages[h.id]; ok {
		m := e.Value.(*unfinished)
		switch have := uint64(len(m.data)); {
		case h.offset > have:
			return nil, ErrChunkMissing
		case h.offset < have:
			return nil, ErrChunkRepeated
		case h.size != m.first.size || h.checksum != m.first.checksum:
			return nil, ErrChunkMismatch
		}
		return m, nil
	}
	switch {
	case h.size > uint64(a.opts.MaxSize):
		return nil, fmt.Errorf("%w: the message is to have %d bytes, the limit is %d: raise MaxSize, or have less sent at once", ErrTooLarge, h.size, a.opts.MaxSize)
	case h.offset > 0:
		return nil, ErrChunkMissing
	case len(a.messages) >= a.opts.MaxMessages:
		return nil, ErrChunkLimit
	}
	m := &unfinished{first: h, data: []byte{}}
	a.messages[h.id] = a.byAge.PushBack(m)
	return m, nil
}

// grow makes room for n more bytes of a message.
func (a *Assembler) grow(m *unfinished, n int) error {
	had, need := cap(m.data), len(m.data)+n
	if need <= had {
		return nil
	}
	room := a.opts.MaxBuffered - a.buffered // for more than it had
	if need-had > room {
		return ErrChunkLimit
	}
	want := max(need, min(2*had, int(m.first.size)))
	if want-had > room {
		want = need
	}
	m.data = append(make([]byte, 0, want), m.data...)
	a.buffered += want - had
	return nil
}

// drop forgets a message, if it is known.
func (a *Assembler) drop(id uint64) {
	e, ok := a.messages[id]
	if !ok {
		return
	}
	a.buffered -= cap(e.Value.(*unfinished).data)
	a.byAge.Remove(e)
	delete(a.messages, id)
}

// expire drops the messages that are overdue and returns their errors.
func (a *Assembler) expire(now time.Time) []*ChunkError {
	if a.opts.Timeout < 0 {
		return nil
	}
	var overdue []*ChunkError
	for e := a.byAge.Front(); e != nil; e = a.byAge.Front() {
		m := e.Value.(*unfinished)
		if now.Sub(m.last) < a.opts.Timeout {
			break
		}
		overdue = append(overdue, &ChunkError{ID: m.first.id, Offset: uint64(len(m.data)), Err: ErrChunkTimeout})
		a.drop(m.first.id)
	}
	return overdue
}

// report calls OnTimeout for each, without the lock.
func (a *Assembler) report(overdue []*ChunkError) {
	if a.opts.OnTimeout == nil {
		return
	}
	for _, err := range overdue {
		a.opts.OnTimeout(err)
	}
}
