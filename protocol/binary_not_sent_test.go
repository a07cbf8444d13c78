package protocol

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// not sent, and says so.
func TestSendBinaryThatWasNotSent(t *testing.T) {
	client, server, _ := filePair(t)
	var seen []error
	client.Extend(onError{func(op string, err error) { seen = append(seen, fmt.Errorf("%s: %w", op, err)) }})
	ctx := fileContext(t)
	refused := errors.New("refused")
	returned := func() (messages.Object, error) { return nil, refused }
	client.Use(Middleware[messages.ClientMessage, messages.ServerMessage]{
		OutgoingBinary: func(_ context.Context, o messages.Object) (messages.Object, error) {
			if returned == nil {
				return o, nil
			}
			return returned()
		},
	})
	check := func(want error, metadata messages.Object) {
		t.Helper()
		err := client.SendBinary(ctx, []byte("x"), metadata)
		if !errors.Is(err, want) || transport.OutcomeOf(err) != transport.NotSent {
			t.Errorf("got %v (%v), want %v", err, transport.OutcomeOf(err), want)
		}
	}
	check(refused, nil)
	returned = func() (messages.Object, error) { return nil, nil }
	check(errNothingReturned, nil)
	returned = nil
	check(ErrLimit, messages.Object{{Key: "k", Value: textValue(string(make([]byte, maxMetadata)))}})
	if len(seen) != 3 {
		t.Errorf("the extension saw %v", seen)
	}
	if backlog := server.Transport().(*lending).Memory.Backlog(); backlog.ReceiveMessages != 0 {
		t.Errorf("something was sent: %+v", backlog)
	}
	must(t, client.SendBinary(ctx, []byte("x"), nil))
	if backlog := server.Transport().(*lending).Memory.Backlog(); backlog.ReceiveMessages != 2 {
		t.Errorf("nothing was sent: %+v", backlog)
	}
}

// onError is an extension that listens to errors only.
type onError struct{ f func(op string, err error) }

func (onError) MessageSent(MessageInfo)              {}
func (onError) MessageReceived(MessageInfo)          {}
func (onError) ConnectionEstablished()               {}
func (onError) ConnectionClosed(error)               {}
func (x onError) ErrorOccurred(op string, err error) { x.f(op, err) }
