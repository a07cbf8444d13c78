package endpoint

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
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

// add notes that the command of that id is being sent.
func (u *unanswered) add(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
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
}

// settle notes that the command of that id has been answered, or was not sent.
func (u *unanswered) settle(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if answered := u.commands[id]; answered != nil {
		close(answered)
		delete(u.commands, id)
	}
}

// wait waits until no answer to the command of that id is due any more.
func (u *unanswered) wait(ctx context.Context, id string) error {
	u.mu.Lock()
	answered := u.commands[id]
	u.mu.Unlock()
	if answered == nil {
		return nil
	}
	patience := time.NewTimer(answerTime)
	defer patience.Stop()
	select {
	case <-answered:
		return nil
	case <-patience.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ask sends a command and waits for its results. repeatable says that it may be
// sent again under the same id. It is called by one goroutine at a time.
func (c *client) ask(ctx context.Context, command *messages.ServerMessage, repeatable bool) ([]messages.Result, error) {
	if !repeatable {
		return protocol.SendCommand(ctx, c.proto, command)
	}
	if err := c.unanswered.wait(ctx, command.ResponseID); err != nil {
		return nil, err
	}
	c.unanswered.add(command.ResponseID)
	results, err := protocol.SendCommand(ctx, c.proto, command)
	var failed *protocol.CallError
	if err == nil || ctx.Err() == nil || errors.As(err, &failed) && failed.Outcome == transport.NotSent {
		c.unanswered.settle(command.ResponseID)
	}
	return results, err
}
