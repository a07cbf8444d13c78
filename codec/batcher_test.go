package codec_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/codec"
)

// outbox is where a batcher under test sends to.
type outbox struct {
	mu      sync.Mutex
	batches []string
	fail    error
	gate    chan struct{} // if set, each send takes one from it first
}

func (o *outbox) send(ctx context.Context, batch []byte) error {
	if o.gate != nil {
		select {
		case <-o.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	o.batches = append(o.batches, string(batch))
	return nil
}

func (o *outbox) failWith(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = err
}

// want checks what was sent so far.
func (o *outbox) want(t *testing.T, batches ...string) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.batches, batches) {
		t.Errorf("sent %q\nwant %q", o.batches, batches)
	}
}

func newBatcher(t testing.TB, o *outbox, opts *codec.BatcherOptions) *codec.Batcher {
	t.Helper()
	b, err := codec.NewBatcher(o.send, opts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addAll(t *testing.T, b *codec.Batcher, raws ...string) {
	t.Helper()
	for _, raw := range raws {
		if err := b.Add(t.Context(), []byte(raw)); err != nil {
			t.Fatalf("Add(%s): %v", raw, err)
		}
	}
}

func mustClose(t *testing.T, b *codec.Batcher) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestBatcherByCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxCount: 2, MaxDelay: -1})
		addAll(t, b, `{"n":1}`, `{"n":2}`)
		synctest.Wait()
		o.want(t, `[{"n":1},{"n":2}]`)
		addAll(t, b, `{"n":3}`)
		time.Sleep(1000 * time.Hour)
		o.want(t, `[{"n":1},{"n":2}]`)
		mustClose(t, b)
		o.want(t, `[{"n":1},{"n":2}]`, `[{"n":3}]`)
	})
}

func TestBatcherBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		size := len(`[{"n":1},{"n":2}]`)
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxSize: size, MaxCount: -1, MaxDelay: -1})
		addAll(t, b, `{"n":1}`, `{"n":2}`)
		synctest.Wait()
		o.want(t) // no larger than it may be
		addAll(t, b, `{"n":3}`)
		synctest.Wait()
		o.want(t, `[{"n":1},{"n":2}]`)

		alone := `{"n":"12345678"}`[:size-4] + `"}` // as large as a batch may be
		addAll(t, b, alone)
		synctest.Wait()
		o.want(t, `[{"n":1},{"n":2}]`, `[{"n":3}]`)
		if err := b.Add(t.Context(), []byte(`{"n":"`+strings.Repeat("x", size)+`"}`)); !errors.Is(err, codec.ErrTooLarge) {
			t.Errorf("larger than a batch: error %v", err)
		}
		mustClose(t, b)
	})
}

func TestBatcherSizeBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, spare := range []int{-1, 0, 1} {
			var o outbox
			message := `{"n":12345}`
			b := newBatcher(t, &o, &codec.BatcherOptions{MaxSize: len(message) + 2 + spare})
			err := b.Add(t.Context(), []byte(message))
			if errors.Is(err, codec.ErrTooLarge) != (spare < 0) {
				t.Errorf("%d bytes to spare: error %v", spare, err)
			}
			mustClose(t, b)
		}
	})
}

func TestBatcherByDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxDelay: 10 * time.Millisecond})
		for range 2 { // the timer works again after it fired
			o.batches = nil
			addAll(t, b, `{"n":1}`)
			time.Sleep(9 * time.Millisecond)
			addAll(t, b, `{"n":2}`) // does not put it off
			synctest.Wait()
			o.want(t)
			time.Sleep(time.Millisecond)
			synctest.Wait()
			o.want(t, `[{"n":1},{"n":2}]`)
		}
		mustClose(t, b)
	})
}

func TestBatcherDefaultDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		b := newBatcher(t, &o, nil)
		addAll(t, b, `{"n":1}`)
		time.Sleep(codec.DefaultBatchDelay - time.Nanosecond)
		synctest.Wait()
		o.want(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		o.want(t, `[{"n":1}]`)
		mustClose(t, b)
	})
}

// A flush must not leave its batch's delay to the next batch.
func TestBatcherDelayStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o outbox
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxDelay: 10 * time.Millisecond})
		addAll(t, b, `{"n":1}`)
		time.Sleep(5 * time.Millisecond)
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		addAll(t, b, `{"n":2}`)
		time.Sleep(9 * time.Millisecond)
		synctest.Wait()
		o.want(t, `[{"n":1}]`)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		o.want(t, `[{"n":1}]`, `[{"n":2}]`)
		mustClose(t, b)
	})
}

func TestBatcherFlush(t *testing.T) {
	var o outbox
	b := newBatcher(t, &o, &codec.BatcherOptions{MaxDelay: -1})
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.want(t)
	addAll(t, b, `{"n":1}`, ` {"n":2} `)
	for range 2 {
		if err := b.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.want(t, `[{"n":1}, {"n":2} ]`)
	}
	mustClose(t, b)
}

func TestBatcherRefuses(t *testing.T) {
	var o outbox
	b := newBatcher(t, &o, nil)
	var syntax *codec.SyntaxError
	if err := b.Add(t.Context(), []byte(`{"a":}`)); !errors.As(err, &syntax) {
		t.Errorf("no JSON: error %v", err)
	}
	if err := b.Add(t.Context(), []byte(`[{}]`)); !errors.Is(err, codec.ErrBatchElement) {
		t.Errorf("no object: error %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Add(ended, []byte(`{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: error %v", err)
	}
	mustClose(t, b)
	mustClose(t, b)
	o.want(t)
	if err := b.Add(t.Context(), []byte(`{}`)); !errors.Is(err, codec.ErrBatcherClosed) {
		t.Errorf("closed: error %v", err)
	}
	if err := b.Flush(t.Context()); err != nil {
		t.Errorf("Flush when closed: %v", err)
	}
}

func TestBatcherOptions(t *testing.T) {
	send := new(outbox).send
	for _, opts := range []codec.BatcherOptions{
		{MaxCount: -1, MaxSize: -1, MaxDelay: -1},
		{MaxSize: 3},
	} {
		if _, err := codec.NewBatcher(send, &opts); !errors.Is(err, codec.ErrBatchOptions) {
			t.Errorf("%+v: error %v", opts, err)
		}
	}
	smallest, err := codec.NewBatcher(send, &codec.BatcherOptions{MaxSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	addAll(t, smallest, `{}`)
	mustClose(t, smallest)
	if _, err := codec.NewBatcher(nil, nil); !errors.Is(err, codec.ErrBatchOptions) {
		t.Errorf("no function: error %v", err)
	}
}

// While a batch is being sent, the next one fills; when it is full, Add waits.
func TestBatcherBackpressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outbox{gate: make(chan struct{})}
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxCount: 2, SendTimeout: -1})
		addAll(t, b, `{"n":1}`, `{"n":2}`)
		synctest.Wait()
		addAll(t, b, `{"n":3}`, `{"n":4}`)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Add(short, []byte(`{"n":"no room"}`)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Add without room: error %v", err)
		}
		if err := b.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush against a stalled peer: error %v", err)
		}
		added := make(chan error)
		go func() { added <- b.Add(t.Context(), []byte(`{"n":5}`)) }()
		synctest.Wait()
		o.gate <- struct{}{}
		if err := <-added; err != nil {
			t.Error(err)
		}
		o.want(t, `[{"n":1},{"n":2}]`)
		close(o.gate)
		mustClose(t, b)
		o.want(t, `[{"n":1},{"n":2}]`, `[{"n":3},{"n":4}]`, `[{"n":5}]`)
	})
}

func TestBatcherCloseFreesAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outbox{gate: make(chan struct{})}
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxCount: 1, SendTimeout: time.Second})
		addAll(t, b, `{"n":1}`)
		synctest.Wait()
		addAll(t, b, `{"n":2}`)
		added := make(chan error)
		go func() { added <- b.Add(t.Context(), []byte(`{"n":3}`)) }()
		synctest.Wait()
		start := time.Now()
		err := b.Close() // against a peer that takes nothing
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		if got := unsent(err); !slices.Equal(got, []string{`[{"n":1}]`, `[{"n":2}]`}) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if err := <-added; !errors.Is(err, codec.ErrBatcherClosed) {
			t.Errorf("Add: error %v", err)
		}
	})
}

// unsent returns the batches that an error holds.
func unsent(err error) []string {
	var one *codec.BatchSendError
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []string
		for _, err := range joined.Unwrap() {
			all = append(all, unsent(err)...)
		}
		return all
	}
	if errors.As(err, &one) && one.Count == bytes.Count(one.Batch, []byte("{")) {
		return []string{string(one.Batch)}
	}
	return nil
}

// A batch that the timer sent in vain is handed to whoever calls next.
func TestBatcherReportsTimedFailure(t *testing.T) {
	broken := errors.New("broken")
	calls := map[string]func(*codec.Batcher) error{
		"Add":   func(b *codec.Batcher) error { return b.Add(context.Background(), []byte(`{"n":"not added"}`)) },
		"Flush": func(b *codec.Batcher) error { return b.Flush(context.Background()) },
		"Close": (*codec.Batcher).Close,
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o outbox
				o.fail = broken
				b := newBatcher(t, &o, nil)
				addAll(t, b, `{"n":1}`, `{"n":2}`)
				time.Sleep(codec.DefaultBatchDelay)
				synctest.Wait()
				o.failWith(nil)
				err := call(b)
				if err == nil || !strings.Contains(err.Error(), "2 messages was not sent: broken") {
					t.Errorf("error %v", err)
				}
				if got := unsent(err); !errors.Is(err, broken) || !slices.Equal(got, []string{`[{"n":1},{"n":2}]`}) {
					t.Errorf("error %v with %q", err, got)
				}
				if name != "Close" {
					addAll(t, b, `{"n":3}`) // it goes on, and the error is told once
				}
				mustClose(t, b)
				if name != "Close" {
					o.want(t, `[{"n":3}]`)
				}
			})
		})
	}
}

// Both batches that a Batcher may hold can fail before anyone asks; the bytes
// of the first must survive the second.
func TestBatcherReportsBothFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := outbox{gate: make(chan struct{}), fail: errors.New("broken")}
		b := newBatcher(t, &o, &codec.BatcherOptions{MaxCount: 2})
		addAll(t, b, `{"n":1}`, `{"n":2}`)
		synctest.Wait()
		addAll(t, b, `{"n":3}`)
		close(o.gate)
		time.Sleep(codec.DefaultBatchDelay)
		synctest.Wait()
		err := b.Flush(t.Context())
		if got := unsent(err); !slices.Equal(got, []string{`[{"n":1},{"n":2}]`, `[{"n":3}]`}) {
			t.Errorf("error %v with %q", err, got)
		}
		mustClose(t, b)
	})
}

// What many goroutines add is sent once each, each goroutine's in order.
func TestBatcherConcurrently(t *testing.T) {
	var o outbox
	b := newBatcher(t, &o, &codec.BatcherOptions{MaxCount: 7, MaxSize: 200, MaxDelay: time.Microsecond})
	const senders, each = 8, 100
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range each {
				if err := b.Add(t.Context(), fmt.Appendf(nil, `{"from":%d,"n":%d}`, i, n)); err != nil {
					t.Error(err)
				}
				if n%10 == 9 {
					if err := b.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	mustClose(t, b)
	next := map[int]int{}
	for _, batch := range o.batches {
		raws, err := codec.SplitBatch([]byte(batch), &codec.BatchOptions{MaxCount: 7, MaxSize: 200})
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range raws {
			var from, n int
			if _, err := fmt.Sscanf(string(raw), `{"from":%d,"n":%d}`, &from, &n); err != nil || n != next[from] {
				t.Fatalf("%s came, want n %d, error %v", raw, next[from], err)
			}
			next[from]++
		}
	}
	for i := range senders {
		if next[i] != each {
			t.Errorf("%d of sender %d came", next[i], i)
		}
	}
}
