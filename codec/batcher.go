package codec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Defaults of [BatcherOptions].
const (
	DefaultBatchCount       = 100
	DefaultBatchSize        = 1 << 20 // bytes
	DefaultBatchDelay       = 10 * time.Millisecond
	DefaultBatchSendTimeout = 30 * time.Second
)

// ErrBatcherClosed says that a [Batcher] was closed.
var ErrBatcherClosed = errors.New("codec: batcher is closed: make a new one")

// BatchSendError says that a batch was not sent, or perhaps not. Its messages
// are the caller's again: send Batch once more, or give them up.
type BatchSendError struct {
	Batch []byte // the encoded batch, as AppendBatch makes it
	Count int    // how many messages are in it
	Err   error  // what the send function returned
}

func (e *BatchSendError) Error() string {
	return fmt.Sprintf("codec: a batch of %d messages was not sent: %v", e.Count, e.Err)
}

// Unwrap returns the error of the send function.
func (e *BatchSendError) Unwrap() error { return e.Err }

// BatcherOptions configures a [Batcher]. Nil is all defaults.
type BatcherOptions struct {
	// MaxCount is how many messages a batch has at most: the one that makes it
	// full has it sent. Zero is [DefaultBatchCount]; negative is no limit.
	MaxCount int
	// MaxSize is how large a batch is at most, in bytes, brackets included: a
	// message that does not fit any more has it sent. Zero is
	// [DefaultBatchSize]; negative is no limit, which takes a limit on the
	// number or the delay.
	MaxSize int
	// MaxDelay is how long the first message of a batch waits for more. Zero
	// is [DefaultBatchDelay]; negative is until it is full or flushed.
	MaxDelay time.Duration
	// SendTimeout bounds the sending of one batch. Zero is
	// [DefaultBatchSendTimeout]; negative is no bound.
	SendTimeout time.Duration
}

// Batcher gathers messages and sends them in batches: once there are enough of
// them, or after a short delay. Batches are sent one at a time, in order, by
// one goroutine, which Close stops and waits for. While one is being sent, the
// next one fills; when that is full, Add waits. So it holds two batches at
// most.
//
// A Batcher may be used by any number of goroutines at once.
type Batcher struct {
	opts BatcherOptions
	send func(ctx context.Context, batch []byte) error
	wake chan struct{} // tells the goroutine to look again; holds one
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when what follows changed for waiters
	batch   []byte        // the pending messages, without the closing bracket
	count   int           // how many they are
	since   time.Time     // when the first of them came
	due     bool          // send them now
	added   uint64        // messages, ever
	settled uint64        // of them sent, or reported as not
	failed  error         // batches not sent, not yet reported: two at most
	closed  bool
}

// NewBatcher returns a Batcher that sends with the given function, such as the
// Send of a transport, or an error matching [ErrBatchOptions]. The function
// must return when its context ends, and must not keep the batch. Close the
// Batcher after use.
func NewBatcher(send func(ctx context.Context, batch []byte) error, opts *BatcherOptions) (*Batcher, error) {
	var o BatcherOptions
	if opts != nil {
		o = *opts
	}
	if send == nil {
		return nil, fmt.Errorf("%w: the send function is nil", ErrBatchOptions)
	}
	if o.MaxCount < 0 && o.MaxSize < 0 && o.MaxDelay < 0 {
		return nil, fmt.Errorf("%w: MaxCount, MaxSize and MaxDelay are all negative: nothing would be sent", ErrBatchOptions)
	}
	if o.MaxSize > 0 && o.MaxSize < len("[{}]") {
		return nil, fmt.Errorf("%w: MaxSize is %d, want at least 4", ErrBatchOptions, o.MaxSize)
	}
	o.MaxCount = limitOf(o.MaxCount, DefaultBatchCount)
	o.MaxSize = limitOf(o.MaxSize, DefaultBatchSize)
	if o.MaxDelay == 0 {
		o.MaxDelay = DefaultBatchDelay
	}
	if o.SendTimeout == 0 {
		o.SendTimeout = DefaultBatchSendTimeout
	}
	b := &Batcher{
		opts:    o,
		send:    send,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	go b.run()
	return b, nil
}

// Add adds an encoded message, one JSON object, which it copies. It waits
// while the pending batch is full, until ctx ends.
//
// On an error the message was not added. The error is that of ctx,
// [ErrBatcherClosed], one that matches [ErrTooLarge] if the message alone is
// larger than a batch may be, one as from [AppendBatch] if it is no object; or
// it holds a [*BatchSendError] for each batch that could not be sent since the
// last call, whose messages were others.
func (b *Batcher) Add(ctx context.Context, message []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkObject(message); err != nil {
		return err
	}
	if size := len(message) + 2; size > b.opts.MaxSize {
		return tooLarge(size, b.opts.MaxSize)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.closed {
			return ErrBatcherClosed
		}
		if b.failed != nil {
			return b.takeFailed()
		}
		if b.count < b.opts.MaxCount && len(b.batch)+len(message)+2 <= b.opts.MaxSize {
			b.append(message)
			return nil
		}
		b.flush()
		if err := b.wait(ctx); err != nil {
			return err
		}
	}
}

// Flush has everything sent that was added before, and waits for it until ctx
// ends; the sending goes on then. The error is that of ctx, or holds a
// [*BatchSendError] for each batch that could not be sent since the last call.
func (b *Batcher) Flush(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for last := b.added; b.settled < last; {
		if first := b.added - uint64(b.count); first < last {
			b.flush() // some of the pending ones are meant
		}
		if err := b.wait(ctx); err != nil {
			return err
		}
	}
	return b.takeFailed()
}

// Close sends what is pending, and ends. It waits for that at most twice the
// SendTimeout. An Add that still waits returns [ErrBatcherClosed]. The error
// holds a [*BatchSendError] for each batch that could not be sent since the
// last call. Close may be called more than once.
func (b *Batcher) Close() error {
	b.mu.Lock()
	b.closed = true
	b.notify()
	b.mu.Unlock()
	b.signal()
	<-b.done
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.takeFailed()
}

// run sends batches until the Batcher is closed and nothing is pending.
func (b *Batcher) run() {
	defer close(b.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var spare []byte
	for {
		b.mu.Lock()
		if b.count > 0 && (b.due || b.closed || b.remaining() <= 0) {
			batch, count := append(b.batch, ']'), b.count
			b.batch, b.count, b.due = spare[:0], 0, false
			b.notify()
			b.mu.Unlock()
			spare = b.sendBatch(batch, count)
			continue
		}
		if b.closed {
			b.mu.Unlock()
			return
		}
		var delay <-chan time.Time
		if b.count > 0 && b.opts.MaxDelay > 0 {
			timer.Reset(b.remaining())
			delay = timer.C
		}
		b.mu.Unlock()
		select {
		case <-b.wake:
		case <-delay:
		}
	}
}

// remaining returns how long the pending batch may still wait.
func (b *Batcher) remaining() time.Duration {
	if b.opts.MaxDelay < 0 {
		return 1
	}
	return b.opts.MaxDelay - time.Since(b.since)
}

// sendBatch sends a batch and returns a buffer for another one: its own,
// unless it was given to an error.
func (b *Batcher) sendBatch(batch []byte, count int) []byte {
	ctx := context.Background()
	if b.opts.SendTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.opts.SendTimeout)
		defer cancel()
	}
	err := b.send(ctx, batch)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.settled += uint64(count)
	b.notify()
	if err != nil {
		b.failed = errors.Join(b.failed, &BatchSendError{Batch: batch, Count: count, Err: err})
		return nil
	}
	return batch
}

// append adds a message that fits to the pending batch.
func (b *Batcher) append(message []byte) {
	separator := byte(',')
	if b.count == 0 {
		separator = '['
		b.since = time.Now()
		b.signal()
	}
	b.batch = append(append(b.batch, separator), message...)
	b.added++
	if b.count++; b.count == b.opts.MaxCount {
		b.flush()
	}
}

// flush tells the goroutine to send what is pending.
func (b *Batcher) flush() {
	if b.count > 0 {
		b.due = true
		b.signal()
	}
}

// signal has the goroutine look again.
func (b *Batcher) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// notify has all waiters look again. The lock is held.
func (b *Batcher) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// wait waits, without the lock, for a change or the end of ctx.
func (b *Batcher) wait(ctx context.Context) error {
	changed := b.changed
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeFailed returns the errors not yet reported, once.
func (b *Batcher) takeFailed() error {
	err := b.failed
	b.failed = nil
	return err
}
