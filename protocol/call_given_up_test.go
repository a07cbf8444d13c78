package protocol

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
)

// ending is a context that is over, which does something before it says why.
type endingContext struct {
	context.Context
	before func()
}

func (e endingContext) Err() error {
	e.before()
	return e.Context.Err()
}

// TestAnswerWhileACallIsGivenUp: what comes between the end of the context and
// the release is not lost: it is returned, or reported as late.
func TestAnswerWhileACallIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		late := 0
		s.OnLate(func(context.Context, *messages.ClientMessage) { late++ })
		running(t, s)
		command := messages.NewCommand(messages.CommandRequest{
			SessionID: "s", TaskName: "t", Actions: []messages.Command{{ToolName: "x", ToolType: messages.ToolAction, CallID: "1"}},
		})
		call, err := StartCommand(context.Background(), s, command)
		must(t, err)
		over, cancel := context.WithCancel(context.Background())
		cancel()
		done := false
		ctx := endingContext{over, func() {
			if !done {
				done = true
				must(t, NewCommandAnswer(c, command).Send(context.Background(), []messages.Result{{Status: messages.ResultSuccess}}))
				synctest.Wait()
			}
		}}
		_, err = call.Wait(ctx)
		synctest.Wait()
		if stats := s.Stats(); err != nil && late+int(stats.LateReplies) == 0 {
			t.Errorf("the answer is neither returned (%v) nor late", err)
		}
	})
}
