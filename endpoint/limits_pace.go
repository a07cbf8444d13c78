package endpoint

import (
	"context"
	"sync"
	"time"

	"github.com/aip-go/aip/transport"
)

// pace holds back what a client sends faster than it may. A session has one, over
// all its connections.
type pace struct {
	// expel ends the client.
	expel    func(cause error)
	maxDelay time.Duration

	mu              sync.Mutex
	messages, bytes *bucket
	delayed         time.Duration // since the client last kept to its rates
	seen            int           // messages and connections
}

func newPace(l *Limits, expel func(cause error)) *pace {
	now := time.Now()
	return &pace{
		expel: expel, maxDelay: l.MaxDelay,
		messages: newBucket(float64(l.MessageRate), float64(l.MessageBurst), now),
		bytes:    newBucket(float64(l.ByteRate), float64(l.ByteBurst), now),
	}
}

// book takes note of a frame that counts as so many messages, and returns how long
// it has to wait, or that the client is to be disconnected.
func (p *pace) book(messages, size int) (time.Duration, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	now := time.Now()
	wait := max(p.messages.take(float64(messages), now), p.bytes.take(float64(size), now))
	if wait <= 0 {
		if messages > 0 {
			p.delayed = 0
		}
		return 0, nil
	}
	if p.delayed += wait; p.delayed > p.maxDelay {
		return 0, ErrRateExceeded
	}
	return wait, nil
}

// keep waits until a frame that was received over t may be handled. A client
// that has sent too much is disconnected, and its frame lost.
func (p *pace) keep(ctx context.Context, t transport.Transport, messages, size int) error {
	if p == nil {
		return nil
	}
	wait, err := p.book(messages, size)
	if err != nil {
		p.expel(err)
		_ = t.WaitClosed(ctx) // Whoever serves the client closes it, and says why.
		return err
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done(): // What was received is not lost.
		}
	}
	return nil
}

// connected counts a connection with which a session goes on.
func (p *pace) connected() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
}

// signs returns a number that changes with each sign of life of the client.
func (p *pace) signs() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

const rateExceeded = "too many messages"
