package protocol

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestErrorTexts: every error says what it is about, with the package's name.
func TestErrorTexts(t *testing.T) {
	cause := errors.New("cause")
	for _, test := range []struct {
		err  error
		want []string
		is   error
	}{
		{&CallError{Type: "task", Outcome: transport.MaybeSent, Err: cause}, []string{"task", "maybe sent", "cause"}, cause},
		{&RemoteError{Message: "no"}, []string{"no"}, nil},
		{&RemoteError{}, []string{"no reason given"}, nil},
		{&TaskError{SessionID: "s1", End: &messages.ServerMessage{Status: messages.StatusFailed, Error: "why"}}, []string{"s1", "failed", "why"}, nil},
		{&TaskError{End: &messages.ServerMessage{}}, []string{"no reason given"}, nil},
		{&ResultsError{Want: []string{"1", "2"}, Got: []string{"1"}}, []string{"1 results for 2 commands"}, nil},
		{&ResultsError{Want: []string{"1"}, Got: []string{"2"}}, []string{"call ids"}, nil},
		{&DeviceInfoError{DeviceID: "d1", Message: "gone"}, []string{"d1", "gone"}, nil},
		{&IdentityError{Field: "client_id"}, []string{"client_id"}, nil},
		{&MiddlewareError{Type: "task", Err: cause}, []string{"incoming", "task", "cause"}, cause},
		{&MiddlewareError{Outgoing: true, Err: cause}, []string{"outgoing"}, cause},
		{&PanicError{Value: "boom"}, []string{"boom"}, nil},
		{&PanicError{Value: cause}, []string{"cause"}, cause},
		{&MessageError{Kind: transport.Text, Data: []byte("secret"), Err: cause}, []string{"text", "6 bytes", "cause"}, ErrMessage},
		{&RegistrationError{RegistrationRefused, cause}, []string{"refused", "cause"}, cause},
		{&RegistrationError{RegistrationInvalid, &firstMessageError{"task", "a register message"}}, []string{"invalid", "task", "register"}, messages.ErrInvalid},
		{&RegistrationError{RegistrationTimeout, cause}, []string{"timeout"}, cause},
		{&RegistrationError{RegistrationLost, io.EOF}, []string{"lost"}, io.EOF},
		{&RegistrationError{RegistrationFailure(9), cause}, []string{"failure(9)"}, nil},
	} {
		text := test.err.Error()
		if !strings.HasPrefix(text, "protocol: ") || strings.Contains(text, "secret") {
			t.Errorf("%T: %s", test.err, text)
		}
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%T: %q is not in %q", test.err, want, text)
			}
		}
		if test.is != nil && !errors.Is(test.err, test.is) {
			t.Errorf("%T does not match %v", test.err, test.is)
		}
	}
}

func TestSendAck(t *testing.T) {
	c, s := newPair(t, nil, nil)
	c.SetIdentity(Identity{ClientID: "k@d", ClientType: messages.Constellation, TargetID: "d"})
	ctx := context.Background()
	must(t, c.SendAck(ctx, "s"))
	m, err := s.Receive(ctx)
	if err != nil || m.Type != messages.ClientHeartbeat || m.Status != messages.StatusOK || m.SessionID != "s" || m.ClientType != messages.Constellation {
		t.Errorf("got %+v, %v", m, err)
	}
	must(t, s.SendAck(ctx, ""))
	back, err := c.Receive(ctx)
	if err != nil || back.Type != messages.ServerHeartbeat || back.Status != messages.StatusOK || back.SessionID != "" {
		t.Errorf("got %+v, %v", back, err)
	}
}

// TestPlainTransport: a transport with nothing but the required methods
// carries everything but binary messages out.
func TestPlainTransport(t *testing.T) {
	a, b := transport.NewPair(nil)
	s, err := NewServer(struct{ transport.Transport }{b}, &Options{Queue: QueueOptions{Messages: 1, Policy: Disconnect}})
	must(t, err)
	ctx := context.Background()
	if err := s.sendUnit(ctx, []byte("{}"), nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("binary message: %v", err)
	}
	// Binary messages can be received, and a missing close code does no harm.
	must(t, a.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: []byte(`{"type":"binary_data","size":1}`)},
		transport.Frame{Kind: transport.Binary, Data: []byte("x")}))
	must(t, s.beginReading())
	in, err := s.pull(ctx)
	s.endReading()
	if err != nil || in.unit == nil || string(in.unit.data) != "x" {
		t.Errorf("got %+v, %v", in, err)
	}
	raw(t, a, "nonsense")
	if _, err := AwaitRegistration(ctx, s); err == nil || b.IsConnected() {
		t.Errorf("got %v, connected %v", err, b.IsConnected())
	}
}

// TestHalfBinaryMessage: the announcement of data that does not come is
// reported, and what comes instead is not lost; a context that ends between
// the two frames loses nothing.
func TestHalfBinaryMessage(t *testing.T) {
	a, b := transport.NewPair(nil)
	s, err := NewServer(b, nil)
	must(t, err)
	ctx := context.Background()
	const announcement = `{"type":"binary_data","size":1,"session_id":"s"}`
	raw(t, a, announcement)
	raw(t, a, `{"type":"heartbeat","status":"ok"}`)
	_, err = s.Receive(ctx)
	var invalid *MessageError
	if !errors.As(err, &invalid) || string(invalid.Data) != announcement || invalid.SessionID != "s" || invalid.Code() != "unexpected_frame" {
		t.Errorf("got %v", err)
	}
	if m, err := s.Receive(ctx); err != nil || m.Type != messages.ClientHeartbeat {
		t.Errorf("the next message: %v, %v", m, err)
	}

	raw(t, a, announcement)
	ended, cancel := context.WithCancel(ctx)
	s.transport = cancelling{b, cancel}
	if _, err := s.Receive(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	s.transport = b
	must(t, a.SendFrames(ctx, transport.Frame{Kind: transport.Binary, Data: []byte("x")}))
	if _, err := s.Receive(ctx); !errors.As(err, &invalid) || string(invalid.Binary) != "x" || string(invalid.Data) != announcement {
		t.Errorf("got %v", err)
	}

	raw(t, a, announcement)
	must(t, a.Close())
	if _, err := s.Receive(ctx); !errors.As(err, &invalid) || string(invalid.Data) != announcement {
		t.Errorf("at the end: %v", err)
	}
	if _, err := s.Receive(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("after it: %v", err)
	}
}

// cancelling is a transport that ends a context after each receive.
type cancelling struct {
	transport.Transport
	cancel func()
}

func (c cancelling) Receive(ctx context.Context) ([]byte, error) {
	data, err := c.Transport.Receive(ctx)
	c.cancel()
	return data, err
}
