package transport

import (
	"context"
	"fmt"
	"sync"
)

// Delivery says what becomes of a message that is sent while a transport that
// replaces its connections has none. It is asked for with [WithDelivery]; a
// transport with one connection for its life has no use for it.
type Delivery uint8

// What becomes of messages meanwhile.
const (
	// FailNow refuses the message: the send fails at once with an error that
	// matches [ErrNotConnected] and the outcome [NotSent]. It is the default.
	FailNow Delivery = iota
	// Buffered keeps the message, in a bounded buffer, and sends it when there
	// is a connection again and this side is registered. While the buffer is
	// full the send waits, for as long as its context allows.
	Buffered
	// Volatile drops the message and returns nil, for what is of no use later,
	// such as heartbeats. It never waits for room. A [Receipt] tells.
	Volatile
)

// String returns "fail now", "buffered" or "volatile".
func (d Delivery) String() string {
	switch d {
	case FailNow:
		return "fail now"
	case Buffered:
		return "buffered"
	case Volatile:
		return "volatile"
	default:
		return fmt.Sprintf("delivery(%d)", uint8(d))
	}
}

type deliveryKey struct{}

// WithDelivery returns a context for sends of messages that are to be treated
// as d says.
func WithDelivery(ctx context.Context, d Delivery) context.Context {
	return context.WithValue(ctx, deliveryKey{}, d)
}

// DeliveryOf returns what [WithDelivery] asked for: [FailNow] if nothing. It is
// for implementers of transports.
func DeliveryOf(ctx context.Context) Delivery {
	d, _ := ctx.Value(deliveryKey{}).(Delivery)
	return d
}

// Receipt tells what becomes of one message after its send has returned, where
// the transport knows: one that resumes sessions learns what the peer has
// processed. Make one with [WithReceipt]. All methods may be called
// concurrently.
type Receipt struct {
	mu      sync.Mutex
	outcome Outcome
	final   bool
	done    chan struct{} // made when somebody asks for it
}

type receiptKey struct{}

// receiptContext is a context and the receipt in it.
type receiptContext struct {
	context.Context
	receipt Receipt
}

func (c *receiptContext) Value(key any) any {
	if key == (receiptKey{}) {
		return &c.receipt
	}
	return c.Context.Value(key)
}

// WithReceipt returns a context for the send of one message, and the receipt
// for it. Transports that report nothing leave the receipt as it is.
func WithReceipt(ctx context.Context) (context.Context, *Receipt) {
	c := &receiptContext{Context: ctx}
	return c, &c.receipt
}

// ReceiptOf returns the receipt that [WithReceipt] put into ctx; nil if there
// is none. It is for implementers of transports.
func ReceiptOf(ctx context.Context) *Receipt {
	r, _ := ctx.Value(receiptKey{}).(*Receipt)
	return r
}

// Report notes what is known of the message; final says that no more will ever
// be known. What comes after a final report is ignored, and so is a report to a
// nil receipt. It is for implementers of transports.
func (r *Receipt) Report(o Outcome, final bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.final {
		return
	}
	r.outcome = o
	if final {
		r.final = true
		if r.done != nil {
			close(r.done)
		}
	}
}

// Outcome returns what is known now.
func (r *Receipt) Outcome() Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.outcome
}

// Done is closed when no more will be known.
func (r *Receipt) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		if r.final {
			close(r.done)
		}
	}
	return r.done
}

// Wait waits until no more will be known and returns the outcome. When ctx ends
// first it returns what is known by then and the context's error.
func (r *Receipt) Wait(ctx context.Context) (Outcome, error) {
	select {
	case <-r.Done():
		return r.Outcome(), nil
	case <-ctx.Done():
		return r.Outcome(), ctx.Err()
	}
}
