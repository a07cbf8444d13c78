package protocol

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

func TestRegister(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	if _, known := c.Identity(); known {
		t.Error("an identity before the registration")
	}
	if err := SendHeartbeat(ctx, c); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("heartbeat before the registration: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- RegisterConstellation(ctx, c, "k", "dev") }()
	r, err := AwaitRegistration(ctx, s)
	must(t, err)
	if want := (Identity{ClientID: "k@dev", ClientType: messages.Constellation, TargetID: "dev"}); r.Identity != want {
		t.Errorf("registration of %+v", r.Identity)
	}
	must(t, r.Confirm(ctx))
	must(t, <-done)
	mine, _ := c.Identity()
	theirs, _ := s.Identity()
	if mine != r.Identity || theirs != r.Identity {
		t.Errorf("identities %+v, %+v", mine, theirs)
	}
	if err := r.Confirm(ctx); !errors.Is(err, ErrAnswered) {
		t.Errorf("Confirm again: %v", err)
	}
	if err := r.Refuse(ctx, "no"); !errors.Is(err, ErrAnswered) {
		t.Errorf("Refuse after Confirm: %v", err)
	}
	if !c.Transport().IsConnected() {
		t.Error("a second answer closed the connection")
	}
}

func TestRegisterRefused(t *testing.T) {
	c, s := newPair(t, nil, nil)
	ctx := context.Background()
	done := make(chan error, 1)
	go func() { done <- RegisterDevice(ctx, c, "dev", "linux", messages.Value{}) }()
	r, err := AwaitRegistration(ctx, s)
	must(t, err)
	must(t, r.Refuse(ctx, "already registered"))
	err = <-done
	var failed *RegistrationError
	var remote *RemoteError
	if !errors.As(err, &failed) || failed.Failure != RegistrationRefused || !errors.As(err, &remote) || remote.Message != "already registered" {
		t.Errorf("got %v", err)
	}
	if !transport.Retryable(err) {
		t.Error("a refusal is temporary")
	}
	_, err = c.Receive(ctx)
	var end *transport.CloseError
	if !errors.As(err, &end) || end.Code != transport.StatusNormal || end.Reason != "" {
		t.Errorf("after the refusal: %v", err)
	}
}

// TestRegisterIsStrict: only a heartbeat with the status ok confirms.
func TestRegisterIsStrict(t *testing.T) {
	for name, first := range map[string]string{
		"command":              `{"type":"command","status":"ok","response_id":"r","actions":[]}`,
		"task":                 `{"type":"task","status":"ok","user_request":"x"}`,
		"task_end":             `{"type":"task_end","status":"ok"}`,
		"heartbeat, failed":    `{"type":"heartbeat","status":"failed"}`,
		"task ack":             `{"type":"heartbeat","status":"ok","session_id":"s"}`,
		"not JSON":             `hello`,
		"a client's message":   `{"type":"register","status":"ok","client_id":"x"}`,
		"device info":          `{"type":"device_info_response","status":"ok","result":{}}`,
		"file":                 `{"type":"file_transfer_start"}`,
		"announcement of data": `{"type":"binary_data","size":1}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, s := newPair(t, nil, nil)
			ctx := context.Background()
			raw(t, s.Transport(), "%s", first)
			if name == "announcement of data" {
				must(t, s.Transport().(*transport.Memory).SendFrames(ctx, transport.Frame{Kind: transport.Binary, Data: []byte("x")}))
			}
			err := RegisterDevice(ctx, c, "dev", "linux", messages.Value{})
			var failed *RegistrationError
			if !errors.As(err, &failed) || failed.Failure != RegistrationInvalid {
				t.Fatalf("got %v", err)
			}
			if transport.Retryable(err) {
				t.Error("the peer does not speak AIP; trying again is useless")
			}
			if _, known := c.Identity(); known {
				t.Error("registered nevertheless")
			}
		})
	}
}

func TestRegisterDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			option, context, want time.Duration
			failure               RegistrationFailure
		}{
			{0, 0, 30 * time.Second, RegistrationTimeout},
			{time.Second, 0, time.Second, RegistrationTimeout},
			{time.Minute, time.Second, time.Second, RegistrationLost},
			{-1, time.Hour, time.Hour, RegistrationLost},
		} {
			c, _ := newPair(t, &Options{RegistrationTimeout: test.option}, nil)
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if test.context > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.context)
			}
			began := time.Now()
			err := RegisterDevice(ctx, c, "dev", "linux", messages.Value{})
			cancel()
			var failed *RegistrationError
			if !errors.As(err, &failed) || failed.Failure != test.failure || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if took := time.Since(began); took != test.want {
				t.Errorf("took %v, want %v", took, test.want)
			}
		}
	})
}

func TestRegisterLost(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		name string
		end  func(*transport.Memory)
		is   error
		code transport.StatusCode
		retr bool
	}{
		{"closed", func(m *transport.Memory) { _ = m.Close() }, io.EOF, transport.StatusNormal, true},
		{"policy", func(m *transport.Memory) { _ = m.CloseWith(transport.StatusPolicyViolation, "") }, nil, transport.StatusPolicyViolation, false},
		{"cut", func(m *transport.Memory) { m.Abort(errors.New("cut")) }, io.ErrUnexpectedEOF, transport.StatusAbnormal, true},
	} {
		c, s := newPair(t, nil, nil)
		done := make(chan error, 1)
		go func() { done <- RegisterDevice(ctx, c, "dev", "linux", messages.Value{}) }()
		_, err := s.Receive(ctx)
		must(t, err)
		test.end(s.Transport().(*transport.Memory))
		err = <-done
		var failed *RegistrationError
		var end *transport.CloseError
		if !errors.As(err, &failed) || failed.Failure != RegistrationLost || !errors.As(err, &end) || end.Code != test.code ||
			test.is != nil && !errors.Is(err, test.is) || transport.Retryable(err) != test.retr {
			t.Errorf("%s: got %v, retryable %v", test.name, err, transport.Retryable(err))
		}
	}
	c, s := newPair(t, nil, nil)
	must(t, c.Close())
	if err := RegisterDevice(ctx, c, "dev", "linux", messages.Value{}); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("closed before: %v", err)
	}
	if err := RegisterDevice(ctx, c, "", "linux", messages.Value{}); !errors.Is(err, messages.ErrInvalid) {
		t.Errorf("no client id: %v", err)
	}
	_ = s
}

func TestAwaitRegistrationRejects(t *testing.T) {
	for _, test := range []struct {
		name, frame string
		binary      bool
		code        transport.StatusCode
		text        string // of the error message; "" for none
	}{
		{"not JSON", "hello", false, transport.StatusInvalidPayload, "malformed_message"},
		{"not a message", `{"type":"x"}`, false, transport.StatusPolicyViolation, "invalid_message"},
		{"binary", `{"type":"register"}`, true, transport.StatusUnsupportedData, "unexpected_frame"},
		{"a file", `{"type":"file_transfer_start"}`, false, transport.StatusUnsupportedData, "unexpected_frame"},
		{"another type", `{"type":"heartbeat","status":"ok","client_id":"x"}`, false, transport.StatusPolicyViolation, "registration_required"},
		{"no client id", `{"type":"register","status":"ok"}`, false, transport.StatusPolicyViolation, "registration_required"},
		{"an error", `{"type":"error","status":"error"}`, false, transport.StatusPolicyViolation, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s := newPair(t, nil, nil)
			ctx := context.Background()
			kind := transport.Text
			if test.binary {
				kind = transport.Binary
			}
			must(t, c.Transport().(*transport.Memory).SendFrames(ctx, transport.Frame{Kind: kind, Data: []byte(test.frame)}))
			_, err := AwaitRegistration(ctx, s)
			var failed *RegistrationError
			if !errors.As(err, &failed) || failed.Failure != RegistrationInvalid {
				t.Fatalf("got %v", err)
			}
			if test.text != "" {
				if m, err := c.Receive(ctx); err != nil || m.Type != messages.ServerError || m.Error != test.text {
					t.Errorf("the client is told %+v, %v", m, err)
				}
			}
			_, err = c.Receive(ctx)
			var end *transport.CloseError
			if !errors.As(err, &end) || end.Code != test.code {
				t.Errorf("the client sees %v", err)
			}
		})
	}
}

func TestAwaitRegistrationDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		began := time.Now()
		_, err := AwaitRegistration(context.Background(), s)
		var failed *RegistrationError
		if !errors.As(err, &failed) || failed.Failure != RegistrationTimeout || time.Since(began) != 10*time.Second {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if m, err := c.Receive(context.Background()); err != nil || m.Error != "registration_timeout" {
			t.Errorf("the client is told %v, %v", m, err)
		}
		if c.Transport().IsConnected() {
			t.Error("the connection is open")
		}
		// A context of the caller's ends the wait and leaves the rest to it.
		c, s = newPair(t, nil, nil)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = AwaitRegistration(ctx, s)
		if !errors.As(err, &failed) || failed.Failure != RegistrationLost || !c.Transport().IsConnected() {
			t.Errorf("got %v, connected %v", err, c.Transport().IsConnected())
		}
	})
}

func TestRegistrationMetadata(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		metadata, platform, info string
	}{
		{`{"platform":"mobile","system_info":{"a":1}}`, "mobile", `{"a":1}`},
		{`{"system_info":"not an object"}`, "windows", ""},
		{`{"platform":7,"system_info":[]}`, "windows", ""},
		{`{"platform":""}`, "windows", ""},
		{`{"Platform":"linux"}`, "windows", ""},
		{`null`, "windows", ""},
	} {
		c, s := newPair(t, nil, nil)
		raw(t, c.Transport(), `{"type":"register","status":"ok","client_id":"d","metadata":%s}`, test.metadata)
		r, err := AwaitRegistration(ctx, s)
		must(t, err)
		if r.Platform != test.platform || r.SystemInfo.String() != test.info {
			t.Errorf("%s: %q, %s", test.metadata, r.Platform, r.SystemInfo)
		}
	}
}

func TestPinnedIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newPair(t, nil, nil)
		ctx := context.Background()
		raw(t, c.Transport(), `{"type":"register","status":"ok","client_id":"k@d","client_type":"constellation","target_id":"d"}`)
		r, err := AwaitRegistration(ctx, s)
		must(t, err)
		must(t, r.Confirm(ctx))
		var passed []string
		var fields []string
		note := func(_ context.Context, m *messages.ClientMessage) {
			passed = append(passed, string(m.Type)+" "+m.ClientID+" "+string(m.ClientType))
		}
		s.OnUnhandled(note)
		s.OnInvalid(func(_ context.Context, e *MessageError) {
			var wrong *IdentityError
			if errors.As(e, &wrong) {
				fields = append(fields, wrong.Field)
			}
		})
		running(t, s)
		for _, frame := range []string{
			`{"type":"task","status":"ok","client_type":"constellation"}`,
			`{"type":"task","status":"ok","client_type":"constellation","client_id":"k@d"}`,
			`{"type":"task","status":"ok","client_type":"constellation","client_id":"other"}`,
			`{"type":"task","status":"ok","client_type":"device"}`,
			`{"type":"task","status":"ok"}`,
			`{"type":"heartbeat","status":"ok"}`,
			`{"type":"heartbeat","status":"ok","client_id":"other"}`,
		} {
			raw(t, c.Transport(), "%s", frame)
		}
		synctest.Wait()
		if want := []string{"task k@d constellation", "task k@d constellation", "heartbeat k@d constellation"}; !slices.Equal(passed, want) {
			t.Errorf("passed %q", passed)
		}
		if want := []string{"client_id", "client_type", "client_type", "client_id"}; !slices.Equal(fields, want) {
			t.Errorf("stopped %q", fields)
		}
	})
}
