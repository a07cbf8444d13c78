package endpoint

import (
	"context"
	"sync"
	"time"
)

const (
	// maxUnanswered bounds the commands of one device that are given up and
	// remembered.
	maxUnanswered = 256
	// answerTime is how long the answer to a command that was given up is
	// waited for before the command is sent again. A device that cuts it off
	// answers at once; one that goes on with it brings what it is asked for.
	answerTime = 10 * time.Second
)

// unanswered are the commands of a device that were sent and whose results have
// not come. A command may be sent again under its id only after that: what
// comes for the first one, such as that its task was cut off, would be taken
// for the results of the second. The zero value is empty.
type unanswered struct {
	mu       sync.Mutex
	commands map[string]chan struct{} // by response_id; closed when answered
}

// claim waits until no answer to the command of that id is due any more, and
// notes that it is being sent.
func (u *unanswered) claim(ctx context.Context, id string) error {
	for {
		due := u.add(id)
		if due == nil {
			return nil
		}
		if err := u.wait(ctx, id, due); err != nil {
			return err
		}
	}
}

// wait waits for the answer that is due, but not for ever.
func (u *unanswered) wait(ctx context.Context, id string, due <-chan struct{}) error {
	patience := time.NewTimer(answerTime)
	defer patience.Stop()
	select {
	case <-due:
		return nil
	case <-patience.C:
		u.forget(id, due)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// add notes that the command of that id is being sent, unless an answer to it
// is due: then it returns what is closed when that has come.
func (u *unanswered) add(id string) (due <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if answered := u.commands[id]; answered != nil {
		return answered
	}
	if u.commands == nil {
		u.commands = map[string]chan struct{}{}
	}
	for other, answered := range u.commands {
		if len(u.commands) < maxUnanswered {
			break
		}
		close(answered)
		delete(u.commands, other)
	}
	u.commands[id] = make(chan struct{})
	return nil
}

// settle notes that the command of that id has been answered, or was not sent.
func (u *unanswered) settle(id string) { u.forget(id, nil) }

// forget is settle if the answer that is due is this one; nil is any.
func (u *unanswered) forget(id string, due <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if answered := u.commands[id]; answered != nil && (due == nil || due == answered) {
		close(answered)
		delete(u.commands, id)
	}
}
