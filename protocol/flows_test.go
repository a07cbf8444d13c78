package protocol

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// flowPair returns a running client and server; the client is registered.
func flowPair(t *testing.T, role messages.ClientType) (*Client, *Server) {
	c, s := newPair(t, nil, nil)
	as(c, role)
	running(t, c)
	running(t, s)
	return c, s
}

func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Constellation)
		s.Handle(messages.ClientHeartbeat, func(ctx context.Context, m *messages.ClientMessage) error {
			if m.ClientType != messages.Constellation {
				t.Errorf("heartbeat %+v", m)
			}
			time.Sleep(3 * time.Second)
			return AnswerHeartbeat(ctx, s)
		})
		results := make(chan error, 1)
		go func() {
			rtt, err := Beat(context.Background(), c)
			if rtt != 3*time.Second {
				t.Errorf("took %v", rtt)
			}
			results <- err
		}()
		synctest.Wait()
		if _, err := Beat(context.Background(), c); !errors.Is(err, ErrDuplicateCall) {
			t.Errorf("a second one: %v", err)
		}
		must(t, <-results)
		// A task's ack is not the reply to a heartbeat.
		must(t, s.SendAck(context.Background(), "s"))
		synctest.Wait()
		if c.Stats().Unhandled != 1 {
			t.Errorf("%+v", c.Stats())
		}
	})
}

func TestDeviceInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := flowPair(t, messages.Constellation)
		ctx := context.Background()
		answer := func(result string) {
			s.handlers.Store(nil)
			s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
				return AnswerDeviceInfo(ctx, s, m, messages.TrustedValue([]byte(result)))
			})
		}
		for _, result := range []string{`{"platform":"linux"}`, `{"Error":"not the key"}`, `[1]`, `"error"`} {
			answer(result)
			if info, err := RequestDeviceInfo(ctx, c, "d"); err != nil || info.String() != result {
				t.Errorf("%s: %s, %v", result, info, err)
			}
		}
		for result, text := range map[string]string{
			`{"error":"gone"}`:           "gone",
			`{"a":1,"error":{"code":7}}`: `{"code":7}`,
			`{"error":null}`:             "",
			"":                           "Device d not found or no system info available",
		} {
			answer(result)
			var missing *DeviceInfoError
			_, err := RequestDeviceInfo(ctx, c, "d")
			if !errors.As(err, &missing) || missing.Message != text || missing.DeviceID != "d" {
				t.Errorf("%s: %v", result, err)
			}
		}
		s.handlers.Store(nil)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
			reply := messages.NewDeviceInfoResponse(m.RequestID, messages.Value{})
			reply.Status, reply.Error = messages.StatusError, "no"
			return s.Send(ctx, reply)
		})
		var missing *DeviceInfoError
		if _, err := RequestDeviceInfo(ctx, c, "d"); !errors.As(err, &missing) || missing.Message != "no" {
			t.Errorf("status error: %v", err)
		}
		// The reference refuses without an id.
		s.handlers.Store(nil)
		s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, _ *messages.ClientMessage) error {
			return s.SendError(ctx, "not yours", nil)
		})
		var remote *RemoteError
		if _, err := RequestDeviceInfo(ctx, c, "d"); !errors.As(err, &remote) || remote.Message != "not yours" {
			t.Errorf("refused: %v", err)
		}
	})
}

func TestPushDeviceInfo(t *testing.T) {
	c, s := newPair(t, nil, nil)
	as(c, messages.Device)
	ctx := context.Background()
	must(t, PushDeviceInfo(ctx, c, value(t, map[string]int{"a": 1})))
	m, err := s.Receive(ctx)
	if err != nil || m.Type != messages.ClientDeviceInfoResponse || m.Metadata.String() != `{"a":1}` {
		t.Errorf("got %+v, %v", m, err)
	}
}
