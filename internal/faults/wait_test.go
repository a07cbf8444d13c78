package faults

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
)

// patience is how long anything that has to happen may take.
const patience = 20 * time.Second

// within runs f, which must not take long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	receive(t, what, done)
}

// receive waits for what comes from a channel, or for its end.
func receive[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case v := <-from:
		return v
	case <-late.C:
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// recorder keeps the events of one part.
type recorder struct {
	part string

	mu      sync.Mutex
	events  []endpoint.Event
	changed chan struct{} // closed at the next event
}

func newRecorder(part string) *recorder {
	return &recorder{part: part, changed: make(chan struct{})}
}

func (r *recorder) observe(e endpoint.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	close(r.changed)
	r.changed = make(chan struct{})
}

// of returns the events of a kind, of one client if that is not "".
func (r *recorder) of(kind endpoint.EventKind, client string) []endpoint.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.matching(func(e endpoint.Event) bool { return e.Kind == kind && (client == "" || e.ClientID == client) })
}

// matching returns the events that match. The recorder is locked.
func (r *recorder) matching(match func(endpoint.Event) bool) []endpoint.Event {
	var found []endpoint.Event
	for _, e := range r.events {
		if match(e) {
			found = append(found, e)
		}
	}
	return found
}

// await waits until there are n events of a kind, of one client if that is not
// "".
func (r *recorder) await(t *testing.T, n int, kind endpoint.EventKind, client string) {
	t.Helper()
	r.awaitMatching(t, n, fmt.Sprintf("events %q of %q", kind, client), func(e endpoint.Event) bool {
		return e.Kind == kind && (client == "" || e.ClientID == client)
	})
}

// awaitOr waits until there are n events of a kind, or end is closed.
func (r *recorder) awaitOr(n int, end <-chan struct{}, kind endpoint.EventKind) {
	for {
		r.mu.Lock()
		found, changed := len(r.matching(func(e endpoint.Event) bool { return e.Kind == kind })), r.changed
		r.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-changed:
		case <-end:
			return
		}
	}
}

// awaitEnd waits until the end of a task was observed.
func (r *recorder) awaitEnd(t *testing.T, session string) {
	t.Helper()
	r.awaitMatching(t, 1, "ends of "+session, func(e endpoint.Event) bool {
		return e.Kind == endpoint.EventTaskEnded && e.SessionID == session
	})
}

func (r *recorder) awaitMatching(t *testing.T, n int, what string, match func(endpoint.Event) bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		r.mu.Lock()
		found, changed := len(r.matching(match)), r.changed
		r.mu.Unlock()
		if found >= n {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			t.Fatalf("the %s observed %d of %d %s:\n%v", r.part, found, n, what, r)
		}
	}
}

// String lists the events, a line for each.
func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.events {
		fmt.Fprintf(&b, "%s %s: %s %s", e.Time.Format("05.000"), r.part, e.Kind, e.ClientID)
		if e.SessionID != "" {
			fmt.Fprintf(&b, " task %s %s", e.SessionID, e.Status)
		}
		if e.Resumed {
			b.WriteString(" (resumed)")
		}
		if e.To != "" {
			fmt.Fprintf(&b, " %s -> %s", e.From, e.To)
		}
		if e.Err != nil {
			fmt.Fprintf(&b, ": %v", e.Err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
