package transport_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

func TestRetryAfterReason(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:             "retry-after=0",
		0:                        "retry-after=0",
		1:                        "retry-after=0.001",
		50 * time.Millisecond:    "retry-after=0.05",
		time.Second:              "retry-after=1",
		2500 * time.Millisecond:  "retry-after=2.5",
		10 * time.Second:         "retry-after=10",
		time.Second - 1:          "retry-after=1",
		time.Hour - 1:            "retry-after=3600",
		time.Hour + time.Second:  "retry-after=3600",
		24 * 365 * time.Hour:     "retry-after=3600",
		61*time.Second + 7654321: "retry-after=61.008",
	} {
		if got := transport.RetryAfterReason(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

func TestRetryAfterOfACloseError(t *testing.T) {
	const none = -1
	for reason, want := range map[string]time.Duration{
		"retry-after=0":            0,
		"retry-after=1":            time.Second,
		"retry-after=2.5":          2500 * time.Millisecond,
		"retry-after=0.000000001":  1,
		"retry-after=3600":         time.Hour,
		"retry-after=3600.000":     time.Hour,
		"retry-after=3600.001":     none,
		"retry-after=3601":         none,
		"retry-after=99999":        none,
		"retry-after=0.0000000001": none,
		"":                         none,
		"retry-after":              none,
		"retry-after=":             none,
		"retry-after=.5":           none,
		"retry-after=1.":           none,
		"retry-after=1.5.5":        none,
		"retry-after=-1":           none,
		"retry-after=+1":           none,
		"retry-after=1s":           none,
		"retry-after=1h":           none,
		"retry-after=1e3":          none,
		"retry-after=0x10":         none,
		"retry-after=inf":          none,
		"retry-after= 1":           none,
		"retry-after=1 ":           none,
		"retry-after=٣":            none,
		"Retry-After=1":            none,
		"bye; retry-after=1":       none,
	} {
		for _, code := range []transport.StatusCode{
			transport.StatusGoingAway, transport.StatusServiceRestart, transport.StatusTryAgainLater,
			transport.StatusNormal, transport.StatusPolicyViolation, transport.StatusAbnormal,
		} {
			for _, remote := range []bool{true, false} {
				want, ok := want, want != none
				if !ok || !remote || code < transport.StatusGoingAway || code > transport.StatusTryAgainLater ||
					code == transport.StatusPolicyViolation || code == transport.StatusAbnormal {
					want, ok = 0, false
				}
				end := &transport.CloseError{Code: code, Reason: reason, Remote: remote}
				if got, found := end.RetryAfter(); got != want || found != ok {
					t.Errorf("%v, remote %t: %s, %t, want %s, %t", end, remote, got, found, want, ok)
				}
			}
		}
	}
}

// TestRetryAfterArrives: a transport takes the hint to the other side.
func TestRetryAfterArrives(t *testing.T) {
	here, there := transport.NewPair(nil)
	defer here.Close()
	if err := there.CloseWith(transport.StatusGoingAway, transport.RetryAfterReason(1250*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := here.Receive(t.Context())
	var end *transport.CloseError
	if !errors.As(err, &end) {
		t.Fatalf("Receive returned %v", err)
	}
	if d, ok := end.RetryAfter(); !ok || d != 1250*time.Millisecond {
		t.Errorf("the hint is %s, %t", d, ok)
	}
}

// FuzzRetryAfter: a hint is within bounds, begins as the convention says, and
// is told again in the same way, up to the rounding.
func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "retry-after=1", "retry-after=2.5", "retry-after=3600", "retry-after=1e9", "retry-after=0.000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		d, ok := (&transport.CloseError{Code: transport.StatusGoingAway, Reason: reason, Remote: true}).RetryAfter()
		if !ok {
			if d != 0 {
				t.Errorf("%q: %s without a hint", reason, d)
			}
			return
		}
		if d < 0 || d > time.Hour || !strings.HasPrefix(reason, "retry-after=") {
			t.Fatalf("%q asks for %s", reason, d)
		}
		again, ok := (&transport.CloseError{Code: transport.StatusGoingAway, Reason: transport.RetryAfterReason(d), Remote: true}).RetryAfter()
		if !ok || again < d || again >= d+time.Millisecond {
			t.Errorf("%q: %s became %s, %t", reason, d, again, ok)
		}
	})
}
