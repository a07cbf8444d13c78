package transport_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aip-go/aip/transport"
)

func TestInterruptedError(t *testing.T) {
	cause := &transport.CloseError{Code: transport.StatusAbnormal, Err: io.EOF}
	undelivered := []transport.Undelivered{
		{Outcome: transport.NotSent, Frames: []transport.Frame{{Kind: transport.Text, Data: []byte("secret")}}},
		{Outcome: transport.MaybeSent},
	}
	for _, test := range []struct {
		err       *transport.InterruptedError
		want, not []string
	}{
		{&transport.InterruptedError{}, []string{"transport: "}, []string{"delivered"}},
		{&transport.InterruptedError{Cause: cause}, []string{"transport: ", cause.Error()}, []string{"delivered"}},
		{&transport.InterruptedError{Cause: cause, Undelivered: undelivered}, []string{"2 messages", cause.Error()}, []string{"secret"}},
	} {
		text := test.err.Error()
		for _, want := range test.want {
			if !strings.Contains(text, want) {
				t.Errorf("%q lacks %q", text, want)
			}
		}
		for _, not := range test.not {
			if strings.Contains(text, not) {
				t.Errorf("%q has %q", text, not)
			}
		}
		wrapped := fmt.Errorf("wrapped: %w", test.err)
		var found *transport.InterruptedError
		if !errors.Is(wrapped, transport.ErrInterrupted) || !errors.As(wrapped, &found) || found != test.err {
			t.Errorf("%v does not match", wrapped)
		}
		if errors.Is(wrapped, io.ErrUnexpectedEOF) != (test.err.Cause != nil) {
			t.Errorf("%v and its cause", wrapped)
		}
	}
	// The transport is usable, even if its last connection cannot be had again.
	permanent := &transport.InterruptedError{Cause: transport.ErrMessageTooLarge}
	if transport.Retryable(permanent.Cause) || !transport.Retryable(permanent) {
		t.Error("an interruption is temporary")
	}
	if errors.Is(permanent, io.EOF) || transport.Retryable(transport.ErrMessageTooLarge) {
		t.Error("it matches too much")
	}
}
