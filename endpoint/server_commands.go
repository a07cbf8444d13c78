package endpoint

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// maxUnderway is how many commands a device may have that reads on while it
// works: one that it works on, and the next ones, so that it is never idle for
// the time that a message takes to and fro. It is far below what devices queue
// (maxQueuedCommands).
const maxUnderway = 3

// commandQueue are the commands of the tasks that one device runs: they are sent
// in order, and the device has a few of them at a time. The zero value lets it
// have one.
type commandQueue struct {
	mu      sync.Mutex
	limit   int              // of sent; 0 means 1
	waiting []*queuedCommand // to be sent, in order
	sending bool             // the last of sent is not sent yet
	// sent are those that the device may have, in order. It answers them in
	// that order, but for those that it does not answer.
	sent []*queuedCommand
	// awaited is how many of sent somebody waits for.
	awaited int
	// timed is the one of sent whose time runs, and clock the timer of that.
	timed *queuedCommand
	clock *time.Timer
}

// queuedCommand is a command of a commandQueue.
type queuedCommand struct {
	id      string        // response_id
	timeout time.Duration // what the device has for it,
	expire  func()        // and what is called after that
	turn    chan struct{} // closed when it is to be sent
	// Guarded by the queue's lock:
	due     time.Time // when timeout is over; zero before those sent before have ended
	givenUp bool      // nobody waits for it, but the device may have it
	over    bool      // it was answered too late, but is not noted as given up yet
}

// ending is how the wait for a command ends.
type ending uint8

const (
	notSent  ending = iota
	answered        // or no answer is due
	givenUp
)

// widen lets the device have that many commands at a time.
func (q *commandQueue) widen(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
	q.advance()
}

// enter waits until it is the turn of c to be sent. The caller has to call end,
// also after an error.
func (q *commandQueue) enter(ctx context.Context, c *queuedCommand) error {
	q.mu.Lock()
	q.waiting = append(q.waiting, c)
	q.advance()
	q.mu.Unlock()
	if lazyctx.Receive(ctx, c.turn) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// departed notes that the command whose turn it was is sent: it is that of the
// next one.
func (q *commandQueue) departed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending = false
	q.advance()
}

// end notes that nobody waits for c any more.
func (q *commandQueue) end(c *queuedCommand, how ending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.advance()
	if i := slices.Index(q.waiting, c); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
		return
	}
	if c == q.sent[len(q.sent)-1] {
		q.sending = false
	}
	if c == q.timed {
		q.timed = nil
		q.clock.Stop()
	}
	q.awaited--
	switch how {
	case notSent:
		q.sent = slices.DeleteFunc(q.sent, func(other *queuedCommand) bool { return other == c })
	case answered:
		q.passed(c)
	case givenUp:
		if c.givenUp = true; c.over {
			q.passed(c)
		}
	}
}

// answered notes that the answer to a command has come that was given up.
func (q *commandQueue) answered(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.sent, func(c *queuedCommand) bool { return c.id == id })
	switch {
	case i < 0:
	case q.sent[i].givenUp:
		q.passed(q.sent[i])
		q.advance()
	default:
		q.sent[i].over = true
	}
}

// passed takes out c, which the device is done with, and so it is with those
// before that were given up. The queue is locked.
func (q *commandQueue) passed(c *queuedCommand) {
	before := true
	q.sent = slices.DeleteFunc(q.sent, func(other *queuedCommand) bool {
		if other == c {
			before = false
			return true
		}
		return before && other.givenUp
	})
}

// advance gives the next command its turn, if the device may have one more, and
// starts the clock of the first one. Those that were given up are counted, so
// that a device is not sent ever more of them; but as long as nobody waits for
// one that the device has, it may have a further one. The queue is locked.
func (q *commandQueue) advance() {
	limit := max(q.limit, 1)
	if len(q.waiting) > 0 && !q.sending && (len(q.sent) < limit || q.awaited == 0) {
		if len(q.sent) == limit { // It may never answer the oldest.
			q.sent = slices.Delete(q.sent, 0, 1)
		}
		next := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.sent = append(q.sent, next)
		q.sending = true
		q.awaited++
		close(next.turn)
	}
	if i := slices.IndexFunc(q.sent, func(c *queuedCommand) bool { return !c.givenUp }); i >= 0 && q.sent[i].due.IsZero() {
		q.time(q.sent[i])
	}
}

// time starts the clock of c. The queue is locked.
func (q *commandQueue) time(c *queuedCommand) {
	q.timed, c.due = c, time.Now().Add(c.timeout)
	if q.clock == nil {
		q.clock = time.AfterFunc(c.timeout, q.expire)
	} else {
		q.clock.Reset(c.timeout)
	}
}

// expire tells who waits for the command whose time is over.
func (q *commandQueue) expire() {
	q.mu.Lock()
	c := q.timed
	if c == nil || time.Until(c.due) > 0 { // It was the clock of an earlier one.
		q.mu.Unlock()
		return
	}
	q.timed = nil
	q.mu.Unlock()
	c.expire()
}

// ask sends a command when it is its turn, which begin tells, and waits for its
// results. When the device's time for it is over, it ends ctx with
// ErrCommandTimeout.
func (c *client) ask(ctx *lazyctx.Context, command *messages.ServerMessage, begin Event) ([]messages.Result, error) {
	q := &queuedCommand{
		id:      command.ResponseID,
		timeout: c.server.options.CommandTimeout,
		expire:  func() { ctx.Cancel(ErrCommandTimeout) },
		turn:    make(chan struct{}),
	}
	how := notSent
	defer func() {
		if how != givenUp {
			c.unanswered.settle(command.ResponseID)
		}
		c.commands.end(q, how)
	}()
	if err := c.commands.enter(ctx, q); err != nil {
		return nil, err
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	c.server.events.observe(c.event(begin))
	results, err := c.exchange(kept(ctx), command)
	how = endingOf(ctx, err)
	return results, outlived(ctx, results, err)
}

// outlived returns err, or, of results that came when ctx had ended, why it had,
// if one of them failed: the device may have given it up because it was told to.
func outlived(ctx context.Context, results []messages.Result, err error) error {
	if err == nil && ctx.Err() != nil && slices.ContainsFunc(results, unfinished) {
		return context.Cause(ctx)
	}
	return err
}

// unfinished reports whether a result may be that of a command that was given up.
func unfinished(r messages.Result) bool {
	return r.Status == messages.ResultFailure || r.Status == messages.ResultSkipped
}

// exchange sends a command whose turn it is, and waits for its results.
func (c *client) exchange(ctx context.Context, command *messages.ServerMessage) ([]messages.Result, error) {
	call, err := protocol.StartCommand(ctx, c.proto, command)
	if err != nil {
		return nil, err
	}
	c.commands.departed()
	return call.Wait(ctx)
}

// endingOf returns what an error of exchange means.
func endingOf(ctx context.Context, err error) ending {
	if err == nil {
		return answered
	}
	var failed *protocol.CallError
	switch {
	case errors.As(err, &failed) && failed.Outcome == transport.NotSent:
		return notSent
	case errors.As(err, new(*protocol.RemoteError)), errors.As(err, new(*protocol.ResultsError)):
		return answered // though ctx may have ended meanwhile
	case ctx.Err() != nil:
		return givenUp
	default:
		return answered
	}
}

// answered notes that the answer to a command has come for which nobody waits.
func (c *client) answered(id string) {
	c.unanswered.settle(id)
	c.commands.answered(id)
}
