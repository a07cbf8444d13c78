package transport_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aip-go/aip/transport"
)

// TestCloseErrorMatches: each end of a connection matches what its description
// says, also behind an Error, and nothing else.
func TestCloseErrorMatches(t *testing.T) {
	targets := map[string]error{
		"EOF":      io.EOF,
		"loss":     io.ErrUnexpectedEOF,
		"closed":   transport.ErrClosed,
		"net":      net.ErrClosed,
		"tooLarge": transport.ErrMessageTooLarge,
		"utf8":     transport.ErrInvalidUTF8,
		"ping":     transport.ErrPingTimeout,
		"reset":    syscall.ECONNRESET,
	}
	for _, test := range []struct {
		end       transport.CloseError
		matches   string
		clean     bool
		retryable bool
	}{
		{transport.CloseError{Code: 1000, Remote: true}, "EOF", true, true},
		{transport.CloseError{Code: 1001, Remote: true}, "EOF", true, true},
		{transport.CloseError{Code: 1005, Remote: true}, "EOF", true, true},
		{transport.CloseError{Code: 1000}, "closed net", true, false},
		{transport.CloseError{Code: 1001}, "closed net", true, false},
		{transport.CloseError{Code: 4000}, "closed net", false, true},
		{transport.CloseError{Code: 1011}, "closed net", false, true},
		{transport.CloseError{Code: 1006}, "loss", false, true},
		{transport.CloseError{Code: 1006, Remote: true}, "loss", false, true},
		{transport.CloseError{Code: 1006, Err: syscall.ECONNRESET}, "loss reset", false, true},
		{transport.CloseError{Code: 1006, Err: io.EOF}, "loss", false, true},
		{transport.CloseError{Code: 1006, Err: transport.ErrPingTimeout}, "loss ping", false, true},
		{transport.CloseError{Code: 1009, Err: transport.ErrMessageTooLarge}, "tooLarge", false, false},
		{transport.CloseError{Code: 1009, Remote: true}, "tooLarge", false, false},
		{transport.CloseError{Code: 1007, Err: transport.ErrInvalidUTF8}, "utf8", false, false},
		{transport.CloseError{Code: 1007, Remote: true}, "utf8", false, false},
		{transport.CloseError{Code: 1002, Remote: true}, "", false, false},
		{transport.CloseError{Code: 1003, Remote: true}, "", false, false},
		{transport.CloseError{Code: 1008, Remote: true}, "", false, false},
		{transport.CloseError{Code: 1010, Remote: true}, "", false, false},
		{transport.CloseError{Code: 1015, Remote: true}, "", false, false},
		{transport.CloseError{Code: 1011, Remote: true}, "", false, true},
		{transport.CloseError{Code: 1012, Remote: true}, "", false, true},
		{transport.CloseError{Code: 1013, Remote: true}, "", false, true},
		{transport.CloseError{Code: 4000, Remote: true}, "", false, true},
	} {
		if test.end.Clean() != test.clean {
			t.Errorf("%v is clean: %v", &test.end, test.end.Clean())
		}
		for _, err := range []error{&test.end, &transport.Error{Op: "receive", Err: &test.end}} {
			for name, target := range targets {
				want := slices.Contains(strings.Fields(test.matches), name)
				if got := errors.Is(err, target); got != want {
					t.Errorf("%v matches %v: %v", err, target, got)
				}
			}
			if got := transport.Retryable(err); got != test.retryable {
				t.Errorf("%v is retryable: %v", err, got)
			}
			if got := transport.OutcomeOf(err); got != transport.MaybeSent {
				t.Errorf("%v: the outcome is %s", err, got)
			}
			var end *transport.CloseError
			if !errors.As(err, &end) || end != &test.end {
				t.Errorf("%v holds no CloseError", err)
			}
		}
	}
}

// TestErrorText: texts say who, what and why.
func TestErrorText(t *testing.T) {
	for want, err := range map[string]error{
		"transport: connect ws://host/: refused":                     &transport.Error{Op: "connect", URL: "ws://host/", Err: errors.New("refused")},
		"transport: send: transport: message too large (not sent)":   &transport.Error{Op: "send", Err: transport.ErrMessageTooLarge},
		"transport: send: gone (maybe sent)":                         &transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: errors.New("gone")},
		`connection closed by the peer with 1001 (going away) "bye"`: &transport.CloseError{Code: 1001, Reason: "bye", Remote: true},
		"connection closed by this side with 4000":                   &transport.CloseError{Code: 4000},
		"connection lost without a closing handshake: the cause":     &transport.CloseError{Code: 1006, Err: errors.New("the cause")},
		"transport: got a binary message of 3 bytes where a text message was due; receive it with ReceiveFrame": &transport.FrameTypeError{
			Want: transport.Text, Got: transport.Binary, Data: []byte("abc")},
	} {
		if got := err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestFrameTypeError(t *testing.T) {
	err := fmt.Errorf("wrapped: %w", &transport.FrameTypeError{Want: transport.Text, Got: transport.Binary})
	if !errors.Is(err, transport.ErrFrameType) || errors.Is(err, io.EOF) {
		t.Errorf("%v matches the wrong things", err)
	}
}

// permanent decides for itself.
type permanent struct{ error }

func (permanent) Retryable() bool { return false }

// worthwhile decides for itself.
type worthwhile struct{ error }

func (worthwhile) Retryable() bool { return true }

func TestRetryable(t *testing.T) {
	_, parse := url.Parse(strings.Repeat(":", 2))
	dial := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("anything"), true},
		{dial, true},
		{&url.Error{Op: "Get", URL: "ws://host", Err: dial}, true},
		{&net.DNSError{Err: "no such host", Name: "host", IsNotFound: true}, true},
		{io.ErrUnexpectedEOF, true},
		{context.DeadlineExceeded, true},
		{transport.ErrNotConnected, true},
		{transport.ErrPingTimeout, true},
		{transport.ErrWriteTimeout, true},
		{worthwhile{transport.ErrInvalidURL}, true},
		{context.Canceled, false},
		{transport.ErrClosed, false},
		{transport.ErrAlreadyConnected, false},
		{transport.ErrMessageTooLarge, false},
		{transport.ErrFrameType, false},
		{transport.ErrInvalidUTF8, false},
		{transport.ErrInvalidURL, false},
		{transport.ErrInvalidOptions, false},
		{transport.ErrInvalidStatusCode, false},
		{errors.ErrUnsupported, false},
		{parse, false},
		{permanent{errors.New("unauthorized")}, false},
		{&tls.CertificateVerificationError{Err: errors.New("bad")}, false},
		{x509.UnknownAuthorityError{}, false},
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "host"}, false},
		{&transport.TransitionError{From: transport.Failed, To: transport.Connecting}, false},
	} {
		err := test.err
		if err != nil {
			err = &transport.Error{Op: "connect", Err: fmt.Errorf("wrapped: %w", test.err)}
		}
		for _, err := range []error{test.err, err} {
			if got := transport.Retryable(err); got != test.want {
				t.Errorf("%v is retryable: %v", err, got)
			}
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want transport.Outcome
	}{
		{nil, transport.Sent},
		{errors.New("anything"), transport.MaybeSent},
		{context.Canceled, transport.MaybeSent},
		{&transport.Error{Op: "send", Err: context.Canceled}, transport.NotSent},
		{&transport.Error{Op: "send", Outcome: transport.MaybeSent, Err: context.Canceled}, transport.MaybeSent},
		{fmt.Errorf("wrapped: %w", &transport.Error{Op: "send", Outcome: transport.NotSent, Err: io.EOF}), transport.NotSent},
		{&transport.Error{Op: "receive", Err: io.EOF}, transport.MaybeSent},
		{transport.ErrNotConnected, transport.NotSent},
		{transport.ErrMessageTooLarge, transport.NotSent},
		{errors.ErrUnsupported, transport.NotSent},
	} {
		if got := transport.OutcomeOf(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
	names := map[transport.Outcome]string{
		transport.NotSent: "not sent", transport.MaybeSent: "maybe sent", transport.Sent: "sent", 7: "outcome(7)",
	}
	for outcome, want := range names {
		if outcome.String() != want {
			t.Errorf("outcome %d is called %q", int(outcome), outcome)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for raw, want := range map[string]string{
		"ws://host:8000/ws":                "ws://host:8000/ws",
		"wss://user:secret@host/ws?a=b#c":  "wss://host/ws?redacted",
		"ws://host/ws?token=secret":        "ws://host/ws?redacted",
		"ws://host/ws?":                    "ws://host/ws?",
		"mem://server":                     "mem://server",
		"/relative?token=secret":           "/relative?redacted",
		"":                                 "",
		"ws://user:secret@ho st/":          "(unparsable URL)",
		"::secret":                         "(unparsable URL)",
		"user:secret@host":                 "(unparsable URL)",
		"ws:user:secret@host?token=secret": "(unparsable URL)",
	} {
		if got := transport.RedactURL(raw); got != want {
			t.Errorf("RedactURL(%q) = %q, want %q", raw, got, want)
		}
	}
}

// FuzzRedactURL: a redacted URL holds no user info, no query and no fragment.
func FuzzRedactURL(f *testing.F) {
	for _, seed := range []string{"ws://user:secret@host:1/p?q=1#f", "user:secret@host", "//u@h?x", "::", "ws://[::1]:80/?", "a:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		redacted := transport.RedactURL(raw)
		if redacted == "(unparsable URL)" {
			return
		}
		u, err := url.Parse(redacted)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, redacted, err)
		}
		if u.User != nil || u.RawQuery != "" && u.RawQuery != "redacted" || u.Fragment != "" {
			t.Errorf("%q became %q", raw, redacted)
		}
	})
}
