package resilience_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// loopback is a server on a real socket, with a session for whoever asks.
func loopback(b *testing.B, opts *resilience.ResumerOptions) (url string, sessions chan transport.Transport) {
	resumer, err := resilience.NewResumer(opts)
	if err != nil {
		b.Fatal(err)
	}
	sessions = make(chan transport.Transport, 16)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := websocket.Accept(w, r, nil)
		if err != nil {
			b.Error(err)
			return
		}
		if r.URL.Path == "/plain" {
			sessions <- t
			return
		}
		p, err := protocol.NewServer(t, nil)
		if err != nil {
			b.Error(err)
			return
		}
		registration, err := protocol.AwaitRegistration(context.Background(), p)
		if err != nil {
			b.Error(err)
			return
		}
		if s := resumer.Claim(registration, ""); s != nil {
			if err := s.Resume(context.Background(), t, registration); err != nil {
				b.Error(err)
			}
			return
		}
		s, err := resumer.Confirm(context.Background(), t, registration, "")
		if err != nil {
			b.Error(err)
			return
		}
		sessions <- s
	}))
	b.Cleanup(server.Close)
	return "ws" + strings.TrimPrefix(server.URL, "http"), sessions
}

// over returns a link over real WebSockets.
func over(b *testing.B, url string, o resilience.LinkOptions) *resilience.Link {
	o.Dial = func(ctx context.Context, url string) (transport.Transport, error) {
		t := websocket.New(nil)
		return t, t.Connect(ctx, url)
	}
	o.Registration = func(context.Context) (*messages.ClientMessage, error) {
		return messages.NewDeviceRegistration("device", messages.PlatformLinux, messages.Value{}), nil
	}
	o.Resume = &resilience.ResumeOptions{}
	o.Strategy = at0{}
	l, err := resilience.NewLink(&o)
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Connect(context.Background(), url); err != nil {
		b.Fatal(err)
	}
	return l
}

// at0 does not wait.
type at0 struct{}

func (at0) NextDelay(int, error) (time.Duration, bool) { return 0, true }

// message256 is a message of 256 bytes.
var message256 = fmt.Appendf(nil, `{"type":"task","status":"ok","request":"%s"}`, bytes.Repeat([]byte("x"), 256-44))

// oneWay sends n messages and returns how long it took until all were there.
func oneWay(b *testing.B, from, to transport.Transport, n int) time.Duration {
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		for range n {
			if _, err := to.Receive(context.Background()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range n {
		if err := from.Send(context.Background(), message256); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// echo sends n messages, each after the reply to the one before.
func echo(b *testing.B, from, to transport.Transport, n int) time.Duration {
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		for range n {
			data, err := to.Receive(context.Background())
			if err == nil {
				err = to.Send(context.Background(), data)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range n {
		if err := from.Send(context.Background(), message256); err != nil {
			b.Fatal(err)
		}
		if _, err := from.Receive(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkResumable measures what a resumable session costs while nothing
// breaks: messages of 256 bytes over one connection, beside the same transport
// alone, in turns. The ratio is that of the times, so that more than 1 means
// that the session is slower.
func BenchmarkResumable(b *testing.B) {
	for name, run := range map[string]func(*testing.B, transport.Transport, transport.Transport, int) time.Duration{
		"one way": oneWay, "echo": echo,
	} {
		b.Run(name, func(b *testing.B) {
			url, sessions := loopback(b, nil)
			plain := websocket.New(nil)
			if err := plain.Connect(context.Background(), url+"/plain"); err != nil {
				b.Fatal(err)
			}
			plainServer := <-sessions
			link := over(b, url, resilience.LinkOptions{})
			session := <-sessions
			const rounds = 9
			per := max(b.N/rounds, 100)
			var ratios []float64
			var alone, resumable time.Duration
			for range rounds {
				p, r := run(b, plain, plainServer, per), run(b, link, session, per)
				alone, resumable = alone+p, resumable+r
				ratios = append(ratios, float64(r)/float64(p))
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[rounds/2], "ratio")
			b.ReportMetric(float64(per*rounds)/resumable.Seconds(), "msg/s")
			b.ReportMetric(float64(per*rounds)/alone.Seconds(), "plain-msg/s")
			closeAll(b, link, session, plain, plainServer)
		})
	}
}

// BenchmarkResume measures how long it takes from the loss of a connection until
// the first message is through on the next one, beside one echo of the plain
// connection, a round trip: "round-trips" is how many of them that is, the TCP
// and WebSocket handshakes included.
func BenchmarkResume(b *testing.B) {
	url, sessions := loopback(b, nil)
	plain := websocket.New(nil)
	if err := plain.Connect(context.Background(), url+"/plain"); err != nil {
		b.Fatal(err)
	}
	plainServer := <-sessions
	link := over(b, url, resilience.LinkOptions{})
	session := <-sessions
	ctx := transport.WithDelivery(context.Background(), transport.Buffered)
	var resuming, trips time.Duration
	for b.Loop() {
		trips += echo(b, plain, plainServer, 1)
		start := time.Now()
		link.Drop(resilience.ErrDisconnected)
		if err := link.Send(ctx, message256); err != nil {
			b.Fatal(err)
		}
		if _, err := session.Receive(ctx); err != nil {
			b.Fatal(err)
		}
		resuming += time.Since(start)
	}
	b.ReportMetric(float64(resuming)/float64(trips), "round-trips")
	closeAll(b, link, session, plain, plainServer)
}

// BenchmarkReplay measures how fast 10,000 kept messages of 256 bytes come
// through once there is a connection again.
func BenchmarkReplay(b *testing.B) {
	const kept = 10_000
	url, sessions := loopback(b, &resilience.ResumerOptions{MaxMessages: kept, MaxBytes: 1 << 30})
	hold := make(chan struct{}, 1)
	link := over(b, url, resilience.LinkOptions{MaxMessages: kept, MaxBytes: 1 << 30, Connected: func(ctx context.Context, c resilience.Connection) error {
		if c.Number > 1 {
			<-hold
		}
		return nil
	}})
	session := <-sessions
	ctx := transport.WithDelivery(context.Background(), transport.Buffered)
	var replaying time.Duration
	for b.Loop() {
		if err := link.Flush(ctx); err != nil {
			b.Fatal(err)
		}
		link.Drop(resilience.ErrDisconnected)
		for range kept {
			if err := link.Send(ctx, message256); err != nil {
				b.Fatal(err)
			}
		}
		start := time.Now()
		hold <- struct{}{}
		for range kept {
			if _, err := session.Receive(ctx); err != nil {
				b.Fatal(err)
			}
		}
		replaying += time.Since(start)
	}
	b.ReportMetric(float64(b.N*kept)/replaying.Seconds(), "msg/s")
	closeAll(b, link, session)
}
