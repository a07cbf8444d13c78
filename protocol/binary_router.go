package protocol

import (
	"context"
	"sync"

	"github.com/aip-go/aip/messages"
)

// unitRouter is what a protocol knows about binary messages and files across
// calls. The zero value is ready.
type unitRouter struct {
	// sending is held while a file is sent: chunks do not say which file they
	// belong to, so two files must not mix.
	sending contextMutex
	// receiving is the file that the handlers are receiving.
	receiving fileHandler

	mu      sync.Mutex
	binary  func(ctx context.Context, o messages.Object, data []byte) error
	files   *fileConfig
	answers map[string]chan extension // by the id of the announcement
	lent    *lentReading
	// skipping: a transfer has failed on this side, and the rest of it is
	// still to come.
	skipping bool
}

func (r *unitRouter) setBinary(f func(context.Context, messages.Object, []byte) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.binary = f
}

func (r *unitRouter) setFiles(c *fileConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files = c
}

func (r *unitRouter) handlers() (func(context.Context, messages.Object, []byte) error, *fileConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.binary, r.files
}

// skip notes that the rest of a transfer is to be ignored.
func (r *unitRouter) skip() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipping = true
}

// forget notes that nothing of an earlier transfer is still to come.
func (r *unitRouter) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipping = false
}

// await returns a channel that gets the answer to the announcement id, and a
// function that ends the wait.
func (r *unitRouter) await(id string) (<-chan extension, func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers = map[string]chan extension{}
	}
	answer := make(chan extension, 1)
	r.answers[id] = answer
	return answer, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.answers, id)
	}
}

// awaiting reports whether an answer to an announcement is waited for.
func (r *unitRouter) awaiting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.answers) > 0
}

// lentReading is the reading of a connection by someone who gives it up when
// another one wants to read.
type lentReading struct {
	stop func()
	over chan struct{}
}

// lend notes that the caller is about to read until stop is called, and
// returns the function to call when it no longer does.
func (r *unitRouter) lend(stop func()) (over func()) {
	l := &lentReading{stop: stop, over: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent = l
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lent = nil
		close(l.over)
	}
}

// yield makes who reads on loan, if anyone does, stop, and waits for that.
func (r *unitRouter) yield() {
	r.mu.Lock()
	l := r.lent
	r.mu.Unlock()
	if l != nil {
		l.stop()
		<-l.over
	}
}

// answer reports whether u is an answer to an announcement, and delivers it if
// someone still waits for it.
func (r *unitRouter) answer(u *frameUnit) bool {
	if u.kind != unitControl {
		return false
	}
	o, err := decodeMetadata(u.text)
	if err != nil {
		return false
	}
	if kind, _, _ := stringField(o, "type"); kind != fileResumeType {
		return false
	}
	e := extensionOf(o)
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer := r.answers[e.ID]; answer != nil {
		delete(r.answers, e.ID)
		answer <- e
	}
	return true
}

// leftover reports whether u needs no more attention: an answer to an
// announcement, or a part of a transfer that has failed.
func (r *unitRouter) leftover(u *frameUnit) bool {
	if r.answer(u) {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.skipping {
		return false
	}
	o, err := decodeMetadata(u.text)
	if err != nil {
		return false
	}
	switch frameOf(u.kind, o) {
	case frameChunk:
		return true
	case frameComplete:
		r.skipping = false
		return true
	case frameStart:
		r.skipping = false
	}
	return false
}

// contextMutex is a mutex whose wait a context ends. The zero value is
// unlocked.
type contextMutex struct {
	once  sync.Once
	token chan struct{}
}

func (m *contextMutex) lock(ctx context.Context) error {
	m.once.Do(func() { m.token = make(chan struct{}, 1) })
	select {
	case m.token <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *contextMutex) unlock() { <-m.token }
