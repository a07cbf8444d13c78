package protocol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// CommandTimeout bounds [SendCommand] when its context has no deadline.
const CommandTimeout = 5 * time.Minute

// ErrAnswered: the command, or the registration, has been answered; it is
// answered once.
var ErrAnswered = errors.New("protocol: this has been answered already")

// ResultsError is an answer to a command that does not have one result for
// each of its calls.
type ResultsError struct {
	// Want are the ids of the calls, Got those of the results, in their order.
	Want, Got []string
	// Results are the results as they are.
	Results []messages.Result
}

// Error says in which way they differ.
func (e *ResultsError) Error() string {
	if len(e.Want) != len(e.Got) {
		return fmt.Sprintf("protocol: %d results for %d commands", len(e.Got), len(e.Want))
	}
	return "protocol: the call ids of the results are not those of the commands"
}

// SendCommand sends command, made by [messages.NewCommand], to a device and
// waits for the results: one for each call, in the order of the calls. It is a
// call (see [AIPProtocol.Call]), but bounded by [CommandTimeout]: tools take
// their time. After a timeout the device may still be at work; what it sends
// then is dropped and reported to [AIPProtocol.OnLate].
//
// An answer that does not fit the command is a [*ResultsError]; a result
// without a call id is taken to belong to the call in its place. All failures
// are wrapped in a [*CallError].
func SendCommand(ctx context.Context, s *Server, command *messages.ServerMessage) ([]messages.Result, error) {
	if _, ok := ctx.Deadline(); !ok {
		limited := lazyctx.WithTimeoutCause(ctx, CommandTimeout, nil)
		defer limited.Cancel(nil)
		ctx = limited
	}
	call, err := StartCommand(ctx, s, command)
	if err != nil {
		return nil, err
	}
	return call.Wait(ctx)
}

// CommandCall is a command that was sent and whose results are waited for.
type CommandCall struct {
	command *messages.ServerMessage
	reply   *Reply[messages.ClientMessage]
}

// StartCommand is the first half of [SendCommand]: it returns when the command
// was sent, so that commands which are started one after the other are sent in
// that order, and need not wait for each other's results. ctx alone bounds it.
// The caller has to call Wait.
func StartCommand(ctx context.Context, s *Server, command *messages.ServerMessage) (*CommandCall, error) {
	if err := messages.ValidateServerCommand(command); err != nil {
		return nil, &CallError{Type: string(messages.ServerCommand), Outcome: transport.NotSent, Err: err}
	}
	reply, err := s.ask(ctx, command, MatchCommandResults(command))
	if err != nil {
		return nil, err
	}
	return &CommandCall{command, reply}, nil
}

// Wait is the second half: it waits for the results, until ctx ends, which
// alone bounds it. Then the command is given up, as by SendCommand. It is called
// once.
func (c *CommandCall) Wait(ctx context.Context) ([]messages.Result, error) {
	m, err := c.reply.conclude(ctx)
	if err != nil {
		return nil, &CallError{Type: string(c.command.Type), Outcome: c.reply.outcome(err), Err: err}
	}
	results, err := fitResults(c.command.Actions, m.ActionResults)
	if err != nil {
		return nil, &CallError{Type: string(c.command.Type), Outcome: transport.Sent, Err: err}
	}
	return results, nil
}

// fitResults returns the results in the order of the commands, each with its
// call id, or a *ResultsError. It changes neither list, and returns the one that
// it was given if that is as it should be.
func fitResults(commands []messages.Command, results []messages.Result) ([]messages.Result, error) {
	if all, named := inPlace(commands, results); named {
		return results, nil
	} else if all {
		fitted := slices.Clone(results)
		for i := range fitted {
			fitted[i].CallID = commands[i].CallID
		}
		return fitted, nil
	}
	index := make(map[string]int, len(commands))
	want, got := make([]string, len(commands)), make([]string, len(results))
	for i, command := range commands {
		want[i], index[command.CallID] = command.CallID, i
	}
	for i, result := range results {
		got[i] = result.CallID
	}
	mismatch := &ResultsError{Want: want, Got: got, Results: results}
	if len(results) != len(commands) {
		return nil, mismatch
	}
	fitted, filled := make([]messages.Result, len(commands)), make([]bool, len(commands))
	for i, result := range results {
		at := i
		if result.CallID != "" && result.CallID != want[i] {
			var known bool
			if at, known = index[result.CallID]; !known {
				return nil, mismatch
			}
		}
		if filled[at] {
			return nil, mismatch
		}
		filled[at] = true
		result.CallID = want[at]
		fitted[at] = result
	}
	return fitted, nil
}

// inPlace reports whether there is one result for each of the commands, in
// their order, and whether all of them also have their call ids.
func inPlace(commands []messages.Command, results []messages.Result) (all, named bool) {
	if len(results) != len(commands) {
		return false, false
	}
	named = true
	for i := range results {
		if id := results[i].CallID; id != commands[i].CallID {
			if id != "" {
				return false, false
			}
			named = false
		}
	}
	return true, named
}

// CommandAnswer answers one command, once. All methods may be called
// concurrently.
type CommandAnswer struct {
	client  *Client
	command *messages.ServerMessage
	sent    atomic.Bool
}

// NewCommandAnswer returns what answers command, which c received.
func NewCommandAnswer(c *Client, command *messages.ServerMessage) *CommandAnswer {
	return &CommandAnswer{client: c, command: command}
}

// Send sends the results: one for each call of the command, with its call id or
// none, in any order if with ids. A list that does not fit is refused with a
// [*ResultsError]. The second answer fails with [ErrAnswered], unless the
// first one certainly did not leave this side.
func (a *CommandAnswer) Send(ctx context.Context, results []messages.Result) error {
	fitted, err := fitResults(a.command.Actions, results)
	if err != nil {
		return err
	}
	id, err := a.client.registered()
	if err != nil {
		return err
	}
	if !a.sent.CompareAndSwap(false, true) {
		return ErrAnswered
	}
	err = a.client.Send(ctx, messages.NewCommandResults(id.ClientID, a.command, fitted))
	if transport.OutcomeOf(err) == transport.NotSent {
		a.sent.Store(false)
	}
	return err
}

// Fail answers that none of the calls could be made: with one failure for each
// (spec section 8, D10). text is for people and models.
func (a *CommandAnswer) Fail(ctx context.Context, text string) error {
	results := make([]messages.Result, len(a.command.Actions))
	for i := range results {
		results[i] = messages.Result{Status: messages.ResultFailure, Error: text}
	}
	return a.Send(ctx, results)
}
