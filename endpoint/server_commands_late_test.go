package endpoint

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// TestAnswerBeforeGivenUp: the late answer to a command comes before it is noted
// as given up: the device is done with it nevertheless.
func TestAnswerBeforeGivenUp(t *testing.T) {
	var q commandQueue
	q.widen(maxUnderway)
	enter := func(id string) *queuedCommand {
		c := &queuedCommand{id: id, timeout: time.Hour, expire: func() {}, turn: make(chan struct{})}
		if err := q.enter(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		q.departed()
		return c
	}
	first, other := enter("a"), enter("b")
	q.answered("a")
	q.end(first, givenUp)
	if len(q.sent) != 1 || q.sent[0] != other {
		t.Errorf("the device is taken to have %d commands, want 1", len(q.sent))
	}
	q.end(other, answered)
}

// TestEndingOfAnswers: a bad answer is one, also when the context has ended.
func TestEndingOfAnswers(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range []error{&protocol.RemoteError{}, &protocol.ResultsError{}} {
		if how := endingOf(over, &protocol.CallError{Outcome: transport.Sent, Err: err}); how != answered {
			t.Errorf("%T: %d", err, how)
		}
	}
}

// TestResultsAfterTheContext: what failed when the context had ended did so
// because of that; what was done was done.
func TestResultsAfterTheContext(t *testing.T) {
	why := errors.New("why")
	over, cancel := context.WithCancelCause(context.Background())
	done, failed := messages.Result{Status: messages.ResultSuccess}, messages.Result{Status: messages.ResultFailure}
	if err := outlived(over, []messages.Result{done, failed}, nil); err != nil {
		t.Errorf("before the end: %v", err)
	}
	cancel(why)
	if err := outlived(over, []messages.Result{done, failed}, nil); err != why {
		t.Errorf("of a failure: %v", err)
	}
	if err := outlived(over, []messages.Result{done}, nil); err != nil {
		t.Errorf("of a success: %v", err)
	}
}
