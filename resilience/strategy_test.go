package resilience_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// errLost stands for a loss that says nothing of itself.
var errLost = errors.New("lost")

func newBackoff(t testing.TB, o resilience.BackoffOptions) *resilience.Backoff {
	t.Helper()
	b, err := resilience.NewBackoff(&o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// delays asks for delays until there are no more, or most.
func delays(s resilience.Strategy, most int) []time.Duration {
	var all []time.Duration
	for attempt := range most {
		delay, ok := s.NextDelay(attempt, errLost)
		if !ok {
			break
		}
		all = append(all, delay)
	}
	return all
}

func seconds(numbers ...int) []time.Duration {
	var all []time.Duration
	for _, n := range numbers {
		all = append(all, time.Duration(n)*time.Second)
	}
	return all
}

// The rows of the reference's table, and what its programs do.
func TestDelaysAreThoseOfTheReference(t *testing.T) {
	for _, test := range []struct {
		name    string
		options resilience.BackoffOptions
		want    []time.Duration
	}{
		{"default", resilience.BackoffOptions{}, seconds(1, 2, 4, 8, 16)},
		{"default environment", resilience.EnvironmentDefault.Backoff, seconds(1, 2, 4, 8, 16)},
		{"device client", resilience.BackoffDeviceClient, seconds(2, 4, 8)},
		{"orchestrator", resilience.BackoffGalaxy, seconds(5, 5, 5, 5, 5)},
		{"local", resilience.EnvironmentLocal.Backoff, seconds(1, 2, 3)},
		{"internet", resilience.EnvironmentInternet.Backoff, seconds(2, 4, 8, 16, 32)},
		{"unreliable", resilience.EnvironmentUnreliable.Backoff, seconds(5, 10, 20, 40, 80, 160, 300, 300, 300, 300)},
		{"linear", resilience.BackoffOptions{Policy: resilience.Linear, Max: 3 * time.Second}, seconds(1, 2, 3, 3, 3)},
		{"immediate", resilience.BackoffOptions{Policy: resilience.Immediate}, seconds(0, 0, 0, 0, 0)},
		{"none", resilience.BackoffOptions{Policy: resilience.None}, nil},
		{"one retry", resilience.BackoffOptions{Retries: 1}, seconds(1)},
		{"unlimited", resilience.BackoffOptions{Retries: resilience.Unlimited}, seconds(1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60)},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.NoJitter = true
			got := delays(newBackoff(t, test.options), 12)
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestDelayStaysWithinBoundsForEver(t *testing.T) {
	for _, policy := range []resilience.Policy{resilience.Exponential, resilience.Linear} {
		for _, longest := range []time.Duration{time.Minute, math.MaxInt64} {
			b := newBackoff(t, resilience.BackoffOptions{
				Policy: policy, Initial: time.Second, Max: longest, Multiplier: 1e10,
				Retries: resilience.Unlimited, NoJitter: true,
			})
			last := time.Duration(0)
			for _, attempt := range []int{-1, 0, 1, 1000, 1024, 1e6, 1e9, math.MaxInt} {
				delay, ok := b.NextDelay(attempt, errLost)
				if !ok || delay < last || delay > longest {
					t.Errorf("%s, at most %s, attempt %d: %s, %t", policy, longest, attempt, delay, ok)
				}
				last = delay
			}
		}
	}
}

func TestJitterIsFullAndRepeatable(t *testing.T) {
	draw := func(seed uint64, attempt int) []time.Duration {
		b := newBackoff(t, resilience.BackoffOptions{Rand: rand.NewPCG(seed, 0)})
		all := make([]time.Duration, 2000)
		for i := range all {
			delay, ok := b.NextDelay(attempt, errLost)
			if !ok {
				t.Fatal("no attempt")
			}
			all[i] = delay
		}
		return all
	}
	for attempt, window := range seconds(3, 3, 4, 8, 16) {
		got := draw(7, attempt)
		if !slices.Equal(got, draw(7, attempt)) {
			t.Errorf("attempt %d: the same seed gives other delays", attempt)
		}
		if slices.Equal(got, draw(8, attempt)) {
			t.Errorf("attempt %d: another seed gives the same delays", attempt)
		}
		tenths := make([]int, 10)
		for _, delay := range got {
			if delay < 0 || delay >= window {
				t.Fatalf("attempt %d: %s is not below %s", attempt, delay, window)
			}
			tenths[delay*10/window]++
		}
		for i, count := range tenths {
			if count < 120 || count > 280 {
				t.Errorf("attempt %d: %d of 2000 delays in tenth %d of the window", attempt, count, i)
			}
		}
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		name    string
		options resilience.BackoffOptions
		window  time.Duration
	}{
		{"off", resilience.BackoffOptions{Spread: -1}, time.Second},
		{"shorter than the delay", resilience.BackoffOptions{Spread: time.Millisecond}, time.Second},
		{"longer than the delay", resilience.BackoffOptions{Spread: 10 * time.Second}, 10 * time.Second},
		{"longer than the maximum", resilience.BackoffOptions{Spread: 10 * time.Second, Max: 2 * time.Second}, 2 * time.Second},
		{"local", resilience.EnvironmentLocal.Backoff, time.Second},
		{"internet", resilience.EnvironmentInternet.Backoff, 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.Rand = rand.NewPCG(1, 2)
			b := newBackoff(t, test.options)
			longest := time.Duration(0)
			for range 1000 {
				delay, _ := b.NextDelay(0, errLost)
				longest = max(longest, delay)
			}
			if longest >= test.window || longest < test.window*9/10 {
				t.Errorf("the longest of 1000 delays is %s, want nearly %s", longest, test.window)
			}
		})
	}
}

func handshake(status int, retryAfter string) error {
	header := http.Header{}
	if retryAfter != "" {
		header.Set("Retry-After", retryAfter)
	}
	return &transport.Error{Op: "connect", Err: &websocket.HandshakeError{StatusCode: status, Header: header}}
}

func closed(code transport.StatusCode) error {
	return &transport.Error{Op: "receive", Err: &transport.CloseError{Code: code, Remote: true}}
}

// closedFor is a close whose reason says when to come back.
func closedFor(code transport.StatusCode, d time.Duration) error {
	return &transport.Error{Op: "receive", Err: &transport.CloseError{Code: code, Reason: transport.RetryAfterReason(d), Remote: true}}
}

// decided is an error that decides for itself.
type decided bool

func (d decided) Error() string   { return fmt.Sprintf("retryable: %t", bool(d)) }
func (d decided) Retryable() bool { return bool(d) }

func TestPermanentCausesEndTheAttempts(t *testing.T) {
	for _, test := range []struct {
		cause error
		again bool
	}{
		{nil, true},
		{errLost, true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
		{fmt.Errorf("dialling: %w", transport.ErrInvalidURL), false},
		{handshake(http.StatusUnauthorized, ""), false},
		{handshake(http.StatusForbidden, ""), false},
		{handshake(http.StatusNotFound, ""), false},
		{handshake(http.StatusTooManyRequests, ""), true},
		{handshake(http.StatusServiceUnavailable, ""), true},
		{closed(transport.StatusNormal), true},
		{closed(transport.StatusGoingAway), true},
		{closed(transport.StatusAbnormal), true},
		{closed(transport.StatusInternalError), true},
		{closed(transport.StatusServiceRestart), true},
		{closed(transport.StatusTryAgainLater), true},
		{closed(transport.StatusPolicyViolation), false},
		{closed(transport.StatusMessageTooBig), false},
		{&transport.CloseError{Code: transport.StatusNormal}, false},
		{&protocol.RegistrationError{Failure: protocol.RegistrationRefused, Err: &protocol.RemoteError{}}, true},
		{&protocol.RegistrationError{Failure: protocol.RegistrationInvalid, Err: errLost}, false},
		{&resilience.ExpiredError{ID: "device"}, true},
		{&resilience.TimeoutError{Operation: resilience.OpRegistration}, true},
		{&resilience.RetryError{Err: resilience.ErrGaveUp, Cause: errLost}, true},
		{&resilience.RetryError{Err: resilience.ErrGaveUp, Cause: decided(false)}, false},
		{&resilience.RetryError{Err: context.Canceled, Cause: errLost}, false},
		{fmt.Errorf("registering: %w", decided(false)), false},
		{fmt.Errorf("registering: %w", decided(true)), true},
		{&resilience.RetryAfterError{After: time.Second, Err: decided(false)}, false},
	} {
		for _, jitter := range []bool{true, false} {
			b := newBackoff(t, resilience.BackoffOptions{NoJitter: !jitter})
			if _, again := b.NextDelay(0, test.cause); again != test.again {
				t.Errorf("after %v there is an attempt: %t, want %t", test.cause, again, test.again)
			}
		}
	}
}

func TestRetryableDecidesInPlaceOfTheTransport(t *testing.T) {
	b := newBackoff(t, resilience.BackoffOptions{Retryable: func(err error) bool { return err != errLost }})
	if _, ok := b.NextDelay(0, errLost); ok {
		t.Error("an attempt after what Retryable does not allow")
	}
	if _, ok := b.NextDelay(0, handshake(http.StatusForbidden, "")); !ok {
		t.Error("no attempt after what Retryable allows")
	}
	if _, ok := b.NextDelay(0, nil); !ok {
		t.Error("no attempt without a cause")
	}
}

func TestCausesAskForALeastDelay(t *testing.T) {
	slow := &resilience.RetryAfterError{After: 15 * time.Second, Err: errLost}
	for _, test := range []struct {
		name    string
		options resilience.BackoffOptions
		cause   error
		exact   time.Duration // without jitter
		least   time.Duration // with it
		window  time.Duration
	}{
		{"nothing", resilience.BackoffOptions{}, errLost, time.Second, 0, 3 * time.Second},
		{"Retry-After", resilience.BackoffOptions{}, handshake(503, "7"), 7 * time.Second, 7 * time.Second, 3 * time.Second},
		{"Retry-After, less than the delay", resilience.BackoffOptions{Initial: 10 * time.Second}, handshake(429, "7"), 10 * time.Second, 7 * time.Second, 10 * time.Second},
		{"Retry-After, senseless", resilience.BackoffOptions{}, handshake(503, "soon"), time.Second, 0, 3 * time.Second},
		{"Retry-After, too long", resilience.BackoffOptions{}, handshake(503, "86400"), 10 * time.Minute, 10 * time.Minute, 3 * time.Second},
		{"Retry-After, bounded", resilience.BackoffOptions{MaxRetryAfter: 5 * time.Second}, handshake(503, "7"), 5 * time.Second, 5 * time.Second, 3 * time.Second},
		{"Retry-After, ignored", resilience.BackoffOptions{MaxRetryAfter: -1}, handshake(503, "7"), time.Second, 0, 3 * time.Second},
		{"Retry-After, negative", resilience.BackoffOptions{}, &resilience.RetryAfterError{After: -time.Hour, Err: errLost}, time.Second, 0, 3 * time.Second},
		{"already registered", resilience.BackoffOptions{}, fmt.Errorf("registering: %w", slow), 15 * time.Second, 15 * time.Second, 3 * time.Second},
		{"immediate", resilience.BackoffOptions{Policy: resilience.Immediate}, slow, 15 * time.Second, 15 * time.Second, 0},
		{"1001", resilience.BackoffOptions{}, closed(transport.StatusGoingAway), time.Second, 0, 3 * time.Second},
		{"1012", resilience.BackoffOptions{}, closed(transport.StatusServiceRestart), 5 * time.Second, 5 * time.Second, 25 * time.Second},
		{"1012, immediate", resilience.BackoffOptions{Policy: resilience.Immediate}, closed(transport.StatusServiceRestart), 5 * time.Second, 5 * time.Second, 25 * time.Second},
		{"1012 of our own", resilience.BackoffOptions{}, &transport.CloseError{Code: transport.StatusServiceRestart}, time.Second, 0, 3 * time.Second},
		{"1012 with a hint", resilience.BackoffOptions{}, &resilience.RetryAfterError{After: 2 * time.Second, Err: closed(transport.StatusServiceRestart)}, 2 * time.Second, 2 * time.Second, 3 * time.Second},
		{"1013", resilience.BackoffOptions{}, closed(transport.StatusTryAgainLater), 30 * time.Second, 30 * time.Second, 3 * time.Second},
		{"1001 with a reason to come back", resilience.BackoffOptions{}, closedFor(transport.StatusGoingAway, 2500*time.Millisecond), 2500 * time.Millisecond, 2500 * time.Millisecond, 3 * time.Second},
		{"1012 with a reason to come back", resilience.BackoffOptions{}, closedFor(transport.StatusServiceRestart, 2*time.Second), 2 * time.Second, 2 * time.Second, 3 * time.Second},
		{"1013 with a reason to come back", resilience.BackoffOptions{}, closedFor(transport.StatusTryAgainLater, 2*time.Second), 2 * time.Second, 2 * time.Second, 3 * time.Second},
		{"1001 with a reason, bounded", resilience.BackoffOptions{MaxRetryAfter: 5 * time.Second}, closedFor(transport.StatusGoingAway, time.Hour), 5 * time.Second, 5 * time.Second, 3 * time.Second},
		{"1013 with a reason, ignored", resilience.BackoffOptions{MaxRetryAfter: -1}, closedFor(transport.StatusTryAgainLater, 2*time.Second), 30 * time.Second, 30 * time.Second, 3 * time.Second},
		{"1000 with a reason", resilience.BackoffOptions{}, closedFor(transport.StatusNormal, 20*time.Second), time.Second, 0, 3 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.options.NoJitter = true
			if got, ok := newBackoff(t, test.options).NextDelay(0, test.cause); !ok || got != test.exact {
				t.Errorf("without jitter: %s, %t, want %s", got, ok, test.exact)
			}
			test.options.NoJitter, test.options.Rand = false, rand.NewPCG(3, 4)
			b := newBackoff(t, test.options)
			shortest, longest := time.Duration(math.MaxInt64), time.Duration(0)
			for range 1000 {
				delay, ok := b.NextDelay(0, test.cause)
				if !ok {
					t.Fatal("no attempt")
				}
				shortest, longest = min(shortest, delay), max(longest, delay)
			}
			if test.window == 0 {
				if shortest != test.least || longest != test.least {
					t.Errorf("with jitter: %s to %s, want %s", shortest, longest, test.least)
				}
				return
			}
			margin := test.window / 20
			if shortest < test.least || shortest > test.least+margin || longest >= test.least+test.window || longest < test.least+test.window-margin {
				t.Errorf("with jitter: %s to %s, want %s to %s", shortest, longest, test.least, test.least+test.window)
			}
		})
	}
}

func TestBackoffRefusesInvalidOptions(t *testing.T) {
	for _, o := range []resilience.BackoffOptions{
		{Policy: -1},
		{Policy: resilience.None + 1},
		{Initial: -1},
		{Max: -1},
		{Multiplier: 0.5},
		{Multiplier: -2},
		{Multiplier: math.NaN()},
		{Multiplier: math.Inf(1)},
		{Policy: resilience.Immediate, Retries: resilience.Unlimited},
	} {
		if _, err := resilience.NewBackoff(&o); !errors.Is(err, resilience.ErrInvalidOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestPolicyNames(t *testing.T) {
	want := []string{"exponential_backoff", "linear_backoff", "immediate", "none", "policy(4)"}
	for i, name := range want {
		if got := resilience.Policy(i).String(); got != name {
			t.Errorf("policy %d is %q, want %q", i, got, name)
		}
	}
}

func FuzzBackoff(f *testing.F) {
	f.Add(0, int64(0), int64(0), 0.0, int64(0), 0, int64(0), false)
	f.Add(1, int64(1), int64(math.MaxInt64), 1e300, int64(math.MaxInt64), math.MaxInt, int64(math.MaxInt64), false)
	f.Add(2, int64(5), int64(3), 1.0, int64(-1), -5, int64(-7), true)
	f.Fuzz(func(t *testing.T, policy int, initial, longest int64, multiplier float64, spread int64, attempt int, after int64, noJitter bool) {
		o := resilience.BackoffOptions{
			Policy: resilience.Policy(policy), Initial: time.Duration(initial), Max: time.Duration(longest), Multiplier: multiplier,
			Spread: time.Duration(spread), NoJitter: noJitter, MaxRetryAfter: time.Hour, Retries: 10,
		}
		b, err := resilience.NewBackoff(&o)
		if err != nil {
			if !errors.Is(err, resilience.ErrInvalidOptions) {
				t.Fatal(err)
			}
			return
		}
		delay, ok := b.NextDelay(attempt, &resilience.RetryAfterError{After: time.Duration(after), Err: errLost})
		if want := o.Policy != resilience.None && attempt < 10; ok != want {
			t.Fatalf("attempt %d: %t", attempt, ok)
		}
		bound := o.Max
		if bound == 0 {
			bound = resilience.DefaultMaxDelay
		}
		if bound += time.Hour; bound < 0 {
			bound = math.MaxInt64
		}
		if delay < 0 || delay > bound {
			t.Fatalf("delay %s, want at most %s", delay, bound)
		}
	})
}
