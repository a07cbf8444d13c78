package protocol

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func TestSendReceive(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	out := messages.NewDeviceHeartbeat("dev")
	must(t, c.Send(ctx, out))
	in, err := s.Receive(ctx)
	must(t, err)
	if !reflect.DeepEqual(in, out) {
		t.Errorf("got %+v, want %+v", in, out)
	}
	reply := messages.NewTaskAck("s1")
	must(t, s.Send(ctx, reply))
	got, err := c.Receive(ctx)
	must(t, err)
	if !reflect.DeepEqual(got, reply) {
		t.Errorf("got %+v, want %+v", got, reply)
	}
}

func TestSendRaw(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	c.Use(Middleware[messages.ClientMessage, messages.ServerMessage]{
		Outgoing: func(context.Context, *messages.ClientMessage) (*messages.ClientMessage, error) {
			return nil, errors.New("not for raw messages")
		},
	})
	must(t, c.SendRaw(ctx, []byte(`{"type":"heartbeat","status":"ok","client_id":"x","unknown":1}`)))
	in, err := s.Receive(ctx)
	must(t, err)
	if in.ClientID != "x" || in.Type != messages.ClientHeartbeat {
		t.Errorf("got %+v", in)
	}
	if err := c.SendRaw(ctx, []byte("\xff")); !errors.Is(err, transport.ErrInvalidUTF8) {
		t.Errorf("not UTF-8: %v", err)
	}
}

func TestSendRefusesInvalid(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	for name, m := range map[string]*messages.ClientMessage{
		"nil":       nil,
		"empty":     {},
		"no status": {Type: messages.ClientHeartbeat},
		"metadata":  {Type: messages.ClientHeartbeat, Status: messages.StatusOK, Metadata: value(t, 5)},
	} {
		err := c.Send(ctx, m)
		if !errors.Is(err, messages.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if outcome := transport.OutcomeOf(err); outcome != transport.NotSent {
			t.Errorf("%s: outcome %v", name, outcome)
		}
	}
	must(t, c.Send(ctx, messages.NewDeviceHeartbeat("after")))
	in, err := s.Receive(ctx)
	must(t, err)
	if in.ClientID != "after" {
		t.Errorf("an invalid message was sent: %+v", in)
	}
}

func TestSkipValidation(t *testing.T) {
	c, s := newPair(t, &Options{SkipValidation: true}, nil)
	ctx := context.Background()
	must(t, c.Send(ctx, &messages.ClientMessage{Type: "nonsense", Status: messages.StatusOK}))
	if _, err := s.Receive(ctx); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("received: %v", err)
	}
}

// laxCodec decodes without looking.
type laxCodec struct{ codec.JSON }

func (laxCodec) Decode(data []byte, m any) error { return json.Unmarshal(data, m) }

func TestOtherCodecsAreValidated(t *testing.T) {
	c, s := newPair(t, nil, &Options{Codec: laxCodec{}})
	raw(t, c.Transport(), `{"type":"heartbeat"}`)
	_, err := s.Receive(context.Background())
	var invalid *messages.ValidationError
	if !errors.As(err, &invalid) || invalid.Fields[0].Path != "status" {
		t.Errorf("got %v", err)
	}
}

func TestReceiveInvalid(t *testing.T) {
	for _, test := range []struct {
		name, frame, code string
		binary            bool
		is                error
		want              MessageError
	}{
		{"not JSON", `{"type":`, "malformed_message", false, nil, MessageError{Kind: transport.Text}},
		{"array", `[]`, "invalid_message", false, messages.ErrInvalid, MessageError{Kind: transport.Text}},
		{"unknown type", `{"type":"REGISTER","status":"ok","session_id":"s","request_id":"r"}`, "invalid_message", false,
			messages.ErrInvalid, MessageError{Kind: transport.Text, Type: "REGISTER", SessionID: "s", ID: "r"}},
		{"other direction's type", `{"type":"command","status":"ok","response_id":"r"}`, "invalid_message", false,
			messages.ErrInvalid, MessageError{Kind: transport.Text, Type: "command", ID: "r"}},
		{"no status", `{"type":"task","request":"secret"}`, "invalid_message", false,
			messages.ErrInvalid, MessageError{Kind: transport.Text, Type: "task"}},
		{"binary", "secret\xff", "unexpected_frame", true, transport.ErrFrameType, MessageError{Kind: transport.Binary}},
		{"file transfer", `{"type":"file_transfer_start","filename":"secret"}`, "unexpected_frame", false,
			transport.ErrFrameType, MessageError{Kind: transport.Text, Type: "file_transfer_start"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s := newPair(t, nil, nil)
			ctx := context.Background()
			kind := transport.Text
			if test.binary {
				kind = transport.Binary
			}
			must(t, c.Transport().(*transport.Memory).SendFrames(ctx, transport.Frame{Kind: kind, Data: []byte(test.frame)}))
			must(t, c.Send(ctx, messages.NewDeviceHeartbeat("after")))
			_, err := s.Receive(ctx)
			var got *MessageError
			if !errors.As(err, &got) || !errors.Is(err, ErrMessage) || test.is != nil && !errors.Is(err, test.is) {
				t.Fatalf("got %v", err)
			}
			if string(got.Data) != test.frame || got.Code() != test.code ||
				got.Kind != test.want.Kind || got.Type != test.want.Type || got.SessionID != test.want.SessionID || got.ID != test.want.ID {
				t.Errorf("got %+v, code %s", got, got.Code())
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the text has contents of the message: %v", err)
			}
			after, err := s.Receive(ctx)
			if err != nil || after.ClientID != "after" {
				t.Errorf("the connection does not go on: %v, %v", after, err)
			}
		})
	}
}

func TestReceiveSyntaxError(t *testing.T) {
	c, s := newPair(t, nil, nil)
	raw(t, c.Transport(), "nonsense")
	_, err := s.Receive(context.Background())
	var syntax *codec.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("got %v", err)
	}
}

func TestReceiveEnds(t *testing.T) {
	ctx := context.Background()
	c, s := newPair(t, nil, nil)
	must(t, c.Send(ctx, messages.NewDeviceHeartbeat("last")))
	must(t, c.Close())
	if m, err := s.Receive(ctx); err != nil || m.ClientID != "last" {
		t.Errorf("before the end: %v, %v", m, err)
	}
	for range 2 {
		if _, err := s.Receive(ctx); !errors.Is(err, io.EOF) {
			t.Errorf("clean close by the peer: %v", err)
		}
	}
	if _, err := c.Receive(ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("own close: %v", err)
	}
	c, s = newPair(t, nil, nil)
	c.Transport().(*transport.Memory).Abort(errors.New("cut"))
	if _, err := s.Receive(ctx); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("loss: %v", err)
	}
}

func TestReceiveContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := s.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		must(t, c.Send(context.Background(), messages.NewDeviceHeartbeat("later")))
		if m, err := s.Receive(context.Background()); err != nil || m.ClientID != "later" {
			t.Errorf("after the timeout: %v, %v", m, err)
		}
	})
}

func TestOneReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx, cancel := context.WithCancel(context.Background())
		wait := start(ctx, s)
		synctest.Wait()
		if _, err := s.Receive(ctx); !errors.Is(err, ErrReading) {
			t.Errorf("Receive while Run reads: %v", err)
		}
		if err := s.Run(ctx); !errors.Is(err, ErrReading) {
			t.Errorf("Run while Run reads: %v", err)
		}
		if _, err := AwaitRegistration(ctx, s); !errors.Is(err, ErrReading) {
			t.Errorf("AwaitRegistration while Run reads: %v", err)
		}
		cancel()
		if err := wait(); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		must(t, c.Send(context.Background(), messages.NewDeviceHeartbeat("dev")))
		if _, err := s.Receive(context.Background()); err != nil {
			t.Errorf("Receive after Run: %v", err)
		}
		pulled := make(chan error, 1)
		go func() {
			_, err := s.Receive(context.Background())
			pulled <- err
		}()
		synctest.Wait()
		if err := s.Run(context.Background()); !errors.Is(err, ErrReading) {
			t.Errorf("Run while Receive reads: %v", err)
		}
		must(t, c.Close())
		<-pulled
	})
}

func TestInvalidOptions(t *testing.T) {
	a, _ := transport.NewPair(nil)
	if _, err := NewClient(a, &Options{Queue: QueueOptions{Policy: Disconnect + 1}}); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("policy: %v", err)
	}
	if _, err := NewServer(nil, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("no transport: %v", err)
	}
	given := Options{}
	if _, err := NewClient(a, &given); err != nil || given.Codec != nil {
		t.Errorf("the options were changed: %+v, %v", given, err)
	}
}

func TestSendsNothingWhenContextEnded(t *testing.T) {
	c, _ := newPair(t, nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := c.Send(ctx, messages.NewDeviceHeartbeat("dev"))
	if !errors.Is(err, context.Canceled) || transport.OutcomeOf(err) != transport.NotSent {
		t.Errorf("got %v", err)
	}
}
