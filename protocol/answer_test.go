package protocol

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func TestErrorsAreNotAnsweredWithErrors(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	if err := c.SendError(ctx, "x", messages.NewServerError("boom")); !errors.Is(err, ErrErrorReply) {
		t.Errorf("client: %v", err)
	}
	if err := s.SendError(ctx, "x", messages.NewClientError(messages.Device, "d", "boom")); !errors.Is(err, ErrErrorReply) {
		t.Errorf("server: %v", err)
	}
	raw(t, c.Transport(), `{"type":"error","status":5}`)
	_, err := s.Receive(ctx)
	var invalid *MessageError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if err := s.AnswerInvalid(ctx, invalid); !errors.Is(err, ErrErrorReply) {
		t.Errorf("an invalid error: %v", err)
	}
	if n := c.Transport().(*transport.Memory).Backlog().ReceiveMessages + s.Transport().(*transport.Memory).Backlog().ReceiveMessages; n != 0 {
		t.Errorf("%d messages were sent", n)
	}
}

// TestTwoPeersThatAnswerErrors: two sides that answer everything invalid do
// not keep each other busy.
func TestTwoPeersThatAnswerErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		as(c, messages.Device)
		var errorsSeen atomic.Int32
		c.OnInvalid(func(ctx context.Context, e *MessageError) { _ = c.AnswerInvalid(ctx, e) })
		s.OnInvalid(func(ctx context.Context, e *MessageError) { _ = s.AnswerInvalid(ctx, e) })
		c.Handle(messages.ServerError, func(ctx context.Context, m *messages.ServerMessage) error {
			errorsSeen.Add(1)
			return c.SendError(ctx, "what?", m)
		})
		s.Handle(messages.ClientError, func(ctx context.Context, m *messages.ClientMessage) error {
			errorsSeen.Add(1)
			return s.SendError(ctx, "what?", m)
		})
		running(t, c)
		running(t, s)
		raw(t, c.Transport(), "nonsense")
		raw(t, s.Transport(), "nonsense")
		synctest.Wait()
		if n := errorsSeen.Load(); n != 2 {
			t.Errorf("%d errors were exchanged", n)
		}
	})
}

// TestErrorsSayWhatTheyAreAbout: D6 of the reference.
func TestErrorsSayWhatTheyAreAbout(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	request := messages.NewDeviceTask("d", "", "x", "linux")
	request.SessionID = "s"
	must(t, s.SendError(ctx, "no", request))
	m, err := c.Receive(ctx)
	if err != nil || m.SessionID != "s" || m.ResponseID != request.RequestID || m.Status != messages.StatusError {
		t.Errorf("got %+v, %v", m, err)
	}
	raw(t, c.Transport(), `{"type":"task","session_id":"s","request_id":"r","request":"secret"}`)
	_, err = s.Receive(ctx)
	var invalid *MessageError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	must(t, s.AnswerInvalid(ctx, invalid))
	m, err = c.Receive(ctx)
	if err != nil || m.SessionID != "s" || m.ResponseID != "r" || m.Error != "invalid_message" {
		t.Errorf("got %+v, %v", m, err)
	}
	must(t, c.SendError(ctx, "no", twoCommands()))
	back, err := s.Receive(ctx)
	if err != nil || back.SessionID != "s" || back.PrevResponseID == "" || back.Error != "no" {
		t.Errorf("got %+v, %v", back, err)
	}
}
