package endpoint

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

func TestBucket(t *testing.T) {
	now := time.Now()
	b := newBucket(10, 20, now)
	for i, step := range []struct {
		after time.Duration
		n     float64
		want  time.Duration
	}{
		{0, 20, 0}, // the burst
		{0, 1, 100 * time.Millisecond},
		{100 * time.Millisecond, 0, 0},
		{time.Hour, 20, 0}, // no more than the burst
		{0, 30, 3 * time.Second},
		{time.Second, 0, 2 * time.Second},
		{time.Second, math.MaxFloat64, forever},
	} {
		now = now.Add(step.after)
		if got := b.take(step.n, now); got != step.want {
			t.Errorf("%d: waits %v, want %v", i, got, step.want)
		}
	}
	if none := newBucket(float64(math.MaxInt), 1, now); none.take(1e9, now) != 0 {
		t.Error("a bucket without a limit has one")
	}
}

// heartbeats sends n heartbeats, as fast as they are taken, until the connection
// ends.
func (p *peer) heartbeats(n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for range n {
		if p.tr.Send(ctx, []byte(`{"type":"heartbeat","status":"ok"}`)) != nil {
			return
		}
	}
}

// answers reads n answers.
func (p *peer) answers(n int) {
	p.t.Helper()
	for range n {
		p.expect(object{"type": "heartbeat", "status": "ok"})
	}
}

// TestMessagesAreHeldBack: who sends faster than it may waits, is not
// disconnected, and holds up nobody else; a pause gives it its burst again.
func TestMessagesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{
			MessageRate: 10, MessageBurst: 20, MaxDelay: 4 * time.Second, // of 3 seconds in each round
		}})
		p, neighbour := server.device("fast"), server.device("slow")
		for range 3 {
			start := time.Now()
			go p.heartbeats(50)
			p.answers(20)
			if took := time.Since(start); took != 0 {
				t.Errorf("the burst took %v", took)
			}
			neighbour.heartbeats(1)
			neighbour.answers(1)
			if took := time.Since(start); took != 0 {
				t.Errorf("a neighbour waited %v", took)
			}
			p.answers(30)
			if took := time.Since(start); took < 3*time.Second || took > 3100*time.Millisecond {
				t.Errorf("the rest took %v", took)
			}
			<-time.After(10 * time.Second)
		}
	})
}

// TestFloodIsDisconnected: who does not stop is disconnected with 1008, and its
// session ends with it.
func TestFloodIsDisconnected(t *testing.T) {
	for _, mode := range []string{"plain", "session", "resumed"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				server := startServer(t, &ServerOptions{
					Handler: noTasks, Observer: r.observe, Limits: &Limits{MessageRate: 10, MaxDelay: 5 * time.Second},
				})
				p, result := server.connectResult()
				detached := 0
				switch mode {
				case "plain":
					p.send(register("dev"))
					p.expect(object{"type": "heartbeat"})
				case "session":
					p.send(offering("dev", "device", "", ""))
					p.joined()
				case "resumed":
					p.send(offering("dev", "device", "", ""))
					token, _ := p.joined()
					p.tr.(transport.Aborter).Abort(errCut)
					synctest.Wait()
					p, detached = server.connect(), 1
					p.send(offering("dev", "device", "", token))
					p.joined()
				}
				start := time.Now()
				go p.heartbeats(10_000)
				var end *transport.CloseError
				for {
					if _, err := p.next(); err != nil {
						if !errors.As(err, &end) || end.Code != transport.StatusPolicyViolation || end.Reason != rateExceeded {
							t.Errorf("the connection ended with %v", err)
						}
						break
					}
				}
				if took := time.Since(start); took < 4*time.Second || took > 6*time.Second {
					t.Errorf("it took %v", took)
				}
				if err := <-result; !errors.Is(err, ErrRateExceeded) {
					t.Errorf("Serve returned %v", err)
				}
				if e := r.of(EventDisconnected); len(e) != 1 || !errors.Is(e[0].Err, ErrRateExceeded) || e[0].ClientID != "dev" {
					t.Errorf("observed %+v", e)
				}
				if e := r.of(EventDetached); len(e) != detached {
					t.Errorf("observed %+v", e)
				}
				if n := len(server.Clients()); n != 0 {
					t.Errorf("%d clients are registered", n)
				}
				server.device("dev")
			})
		})
	}
}

// TestBytesAreHeldBack: bytes count as well as messages, also one message alone.
func TestBytesAreHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{ByteRate: 1000, ByteBurst: 2000, MaxDelay: 10 * time.Second}})
		p := server.device("dev")
		padded := func(size int) {
			const short = `{"type":"heartbeat","status":"ok","request":""}`
			p.sendText(strings.Replace(short, `""`, `"`+strings.Repeat("x", size-len(short))+`"`, 1))
		}
		start := time.Now()
		padded(7000)
		p.answers(1)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		padded(20_000)
		if code := p.expectClose(); code != transport.StatusPolicyViolation {
			t.Errorf("closed with %v", code)
		}
	})
}

// TestLimitsOutliveTheConnection: a client does not get a new burst by cutting its
// connection and coming back to its session.
func TestLimitsOutliveTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{MessageRate: 1, MessageBurst: 10}})
		p := server.connect()
		p.send(offering("dev", "device", "", ""))
		token, _ := p.joined()
		p.heartbeats(10)
		p.answers(10)
		p.tr.(transport.Aborter).Abort(errCut)
		synctest.Wait()
		p = server.connect()
		p.send(offering("dev", "device", "", token))
		p.joined()
		start := time.Now()
		go p.heartbeats(5)
		p.answers(5)
		if took := time.Since(start); took < 4*time.Second {
			t.Errorf("five messages took %v", took)
		}
	})
}

// TestNoLimits: negative limits are none.
func TestNoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{
			MessageRate: -1, ByteRate: -1, MaxDelay: -1, RegistrationsPerMinute: -1,
			MaxUnregistered: -1, MaxUnregisteredPerIP: -1, MaxClientsPerPrincipal: -1,
		}})
		start := time.Now()
		p := server.device("dev")
		go p.heartbeats(5000)
		p.answers(5000)
		for i := range 2000 {
			c := server.registered(anyone("x"), register(fmt.Sprint("d", i%5)))
			c.close()
			synctest.Wait()
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// TestRegistrationFlood: a principal, or without one a client id from one address,
// registers so often and not more, also in vain; others do not notice.
func TestRegistrationFlood(t *testing.T) {
	for name, test := range map[string]struct {
		flooder, other *Principal
		flood, calm    object
		vain           bool
	}{
		"principal":          {flooder: anyone("a"), other: anyone("b"), flood: register("x"), calm: register("x")},
		"principal, in vain": {flooder: &Principal{Name: "a"}, other: anyone("b"), flood: register("x"), calm: register("x"), vain: true},
		"client id":          {flood: register("x"), calm: register("y")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{RegistrationsPerMinute: 6}})
				flood := func(n int) {
					t.Helper()
					for range n {
						p, result := server.as(test.flooder)
						p.send(test.flood)
						if test.vain {
							p.expectRefusal()
						} else {
							p.expect(object{"type": "heartbeat"})
							p.close()
						}
						<-result
					}
				}
				turnedAway := func() {
					t.Helper()
					p, result := server.as(test.flooder)
					p.send(test.flood)
					if code := p.expectClose(); code != transport.StatusTryAgainLater {
						t.Errorf("closed with %v", code)
					}
					if err := <-result; !errors.Is(err, ErrTooManyRegistrations) {
						t.Errorf("Serve returned %v", err)
					}
				}
				flood(6)
				turnedAway()
				calm := server.registered(test.other, test.calm)
				calm.close()
				<-time.After(10 * time.Second)
				flood(1)
				turnedAway()
			})
		})
	}
}

// TestRegistrationsAreForgotten: what is counted does not grow with the names that
// are tried.
func TestRegistrationsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rates
		for i := range 50_000 {
			if !r.allow(60, fmt.Sprint(i)) {
				t.Fatal("a new name is refused")
			}
			if i%100 == 0 {
				<-time.After(time.Second)
			}
		}
		if n := len(r.buckets); n > 2*minSweep {
			t.Errorf("%d names are kept", n)
		}
	})
}

// TestUnregisteredConnections: connections that do not register take up only so
// many places, and give them back when they register, end, or take too long.
func TestUnregisteredConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{MaxUnregistered: 3}})
		full := func() {
			t.Helper()
			p, result := server.connectResult()
			if code := p.expectClose(); code != transport.StatusTryAgainLater {
				t.Errorf("closed with %v", code)
			}
			if err := <-result; !errors.Is(err, ErrTooManyUnregistered) {
				t.Errorf("Serve returned %v", err)
			}
		}
		waiting := []*peer{server.connect(), server.connect(), server.connect()}
		synctest.Wait()
		full()
		waiting[0].send(register("a"))
		waiting[0].expect(object{"type": "heartbeat"})
		server.device("b")
		waiting[1].close()
		synctest.Wait()
		server.connect()
		server.connect()
		synctest.Wait()
		full()
		<-time.After(11 * time.Second)
		synctest.Wait()
		server.device("c")
		server.mu.Lock()
		defer server.mu.Unlock()
		if server.unregistered.all != 0 || len(server.unregistered.from) != 0 {
			t.Errorf("counted %+v", server.unregistered)
		}
	})
}

// TestUnregisteredPerAddress: one address cannot take all the places, over real
// HTTP, and is answered with 429.
func TestUnregisteredPerAddress(t *testing.T) {
	r := &recorder{}
	server := startServer(t, &ServerOptions{
		Handler: noTasks, Observer: r.observe, Limits: &Limits{MaxUnregistered: 3, MaxUnregisteredPerIP: 2},
		ClientIP: func(r *http.Request) string {
			if from := r.Header.Get("X-From"); from != "" {
				return from
			}
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			return host
		},
	})
	url := overHTTP(t, server)
	first, second := dialRaw(t, url), dialRaw(t, url)
	defer first.Close()
	defer second.Close()
	status := func(from string) int {
		return answerTo(t, http.DefaultClient, httpRequest(t, url, "", "X-From", from)).StatusCode
	}
	if got := status("127.0.0.1"); got != http.StatusTooManyRequests {
		t.Errorf("the same address got %d", got)
	}
	if got := status("192.0.2.1"); got != http.StatusUpgradeRequired {
		t.Errorf("another address got %d", got)
	}
	// A registered client does not count.
	first.write(1, `{"type":"register","status":"ok","client_id":"d"}`)
	if _, err := first.reader.ReadByte(); err != nil {
		t.Fatal(err)
	}
	third := dialRaw(t, url)
	defer third.Close()
	if e := r.of(EventRejected); len(e) == 0 || !errors.Is(e[0].Err, ErrTooManyUnregistered) {
		t.Errorf("observed %+v", e)
	}
}

func TestNetworkOf(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.7":              "192.0.2.7",
		"::ffff:192.0.2.7":       "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":   "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":   "2001:db8:1:2::/64",
		"fe80::1%eth0":           "fe80::/64",
		"@":                      "@",
		strings.Repeat("x", 500): strings.Repeat("x", maxAddress),
		"":                       "",
	} {
		if got := networkOf(host); got != want {
			t.Errorf("networkOf(%q) = %q", host, got)
		}
	}
}

// TestClientsPerPrincipal: one principal has so many clients, those that have lost
// their connection included, and others do not notice.
func TestClientsPerPrincipal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Limits: &Limits{MaxClientsPerPrincipal: 2}})
		first := server.registered(anyone("a"), register("a1"))
		lost, _ := server.as(anyone("a"))
		lost.send(offering("a2", "device", "", ""))
		lost.joined()
		lost.tr.(transport.Aborter).Abort(errCut)
		synctest.Wait()
		p, result := server.as(anyone("a"))
		p.send(register("a3"))
		if code := p.expectClose(); code != transport.StatusTryAgainLater {
			t.Errorf("closed with %v", code)
		}
		if err := <-result; !errors.Is(err, ErrTooManyClients) {
			t.Errorf("Serve returned %v", err)
		}
		server.registered(anyone("b"), register("b1"))
		first.close()
		synctest.Wait()
		server.registered(anyone("a"), register("a3"))
	})
}
