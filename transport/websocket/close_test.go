package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the bound of Close: a peer that does not answer, or takes nothing,
// does not stretch it, whatever is being sent and received.
func TestCloseIsBounded(t *testing.T) {
	const timeout = 3 * time.Second
	for name, scene := range map[string]func(*testing.T, *place, *websocket.Transport, *sync.WaitGroup){
		"silent peer": func(_ *testing.T, p *place, _ *websocket.Transport, _ *sync.WaitGroup) {
			p.link().BlackHole(transporttest.ToServer)
		},
		"stuck writer": func(t *testing.T, p *place, client *websocket.Transport, wg *sync.WaitGroup) {
			for i := range 4 {
				ctx := t.Context()
				if i == 0 {
					ctx = context.WithoutCancel(ctx)
				}
				wg.Go(func() {
					err := client.Send(ctx, make([]byte, 10<<20))
					is(t, "Send", err, net.ErrClosed)
				})
			}
		},
		"stuck stream": func(t *testing.T, p *place, client *websocket.Transport, wg *sync.WaitGroup) {
			wg.Go(func() {
				err := client.SendStream(t.Context(), transport.Binary, bytes.NewReader(make([]byte, 10<<20)))
				is(t, "SendStream", err, net.ErrClosed)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p, client, server := pair(t, &websocket.Options{Engine: engine, CloseTimeout: timeout, PingInterval: -1}, &websocket.Options{Engine: engine, PingInterval: -1})
				for _, d := range transporttest.Directions {
					p.link().Stall(d)
				}
				var wg sync.WaitGroup
				receiving := make(chan error, 1)
				go func() {
					_, err := client.Receive(t.Context())
					receiving <- err
				}()
				scene(t, p, client, &wg)
				synctest.Wait()
				start := time.Now()
				for range 5 {
					wg.Go(func() { closeAll(t, client) })
				}
				err := <-receiving
				within(t, "the end of Receive", start, 0)
				is(t, "Receive", err, transport.ErrClosed)
				wg.Wait()
				if took := time.Since(start); took != timeout {
					t.Errorf("Close took %v, want %v", took, timeout)
				}
				if client.State() != transport.Disconnected {
					t.Errorf("the state is %s", client.State())
				}
				if err := client.WaitClosed(t.Context()); err != nil {
					t.Errorf("WaitClosed: %v", err)
				}
				start = time.Now()
				closeAll(t, client)
				within(t, "Close again", start, 0)
				server.Abort(nil)
			})
		})
	}
}

// Protects: reasons, which the peer gets whole up to 123 bytes, and cut at a
// character beyond that.
func TestCloseReason(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		for reason, want := range map[string]string{
			"bye":                    "bye",
			strings.Repeat("x", 123): strings.Repeat("x", 123),
			strings.Repeat("x", 124): strings.Repeat("x", 123),
			strings.Repeat("€", 42):  strings.Repeat("€", 41),
		} {
			opts := &websocket.Options{Engine: engine}
			_, client, server := pair(t, opts, opts)
			if err := client.CloseWith(4321, reason); err != nil {
				t.Errorf("CloseWith: %v", err)
			}
			_, err := server.Receive(t.Context())
			var end *transport.CloseError
			if !errors.As(err, &end) || end.Code != 4321 || end.Reason != want || !end.Remote {
				t.Errorf("after CloseWith %q: %v", reason, err)
			}
		}
	})
}

// Protects: codes. Those that may not be sent close nothing; those that tell of
// a fault are told.
func TestCloseCodes(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		_, client, server := pair(t, opts, opts)
		for _, code := range []transport.StatusCode{0, 999, 1004, 1005, 1006, 1015, 2000, 5000} {
			is(t, "CloseWith", client.CloseWith(code, ""), transport.ErrInvalidStatusCode)
		}
		usable(t, client, server)
		if err := server.CloseWith(transport.StatusPolicyViolation, "not you"); err != nil {
			t.Errorf("CloseWith: %v", err)
		}
		_, err := client.Receive(t.Context())
		closedWith(t, "Receive", err, transport.StatusPolicyViolation, true)
		closedWith(t, "WaitClosed", client.WaitClosed(t.Context()), transport.StatusPolicyViolation, true)
		if client.State() != transport.Disconnected {
			t.Errorf("the state is %s", client.State())
		}
		if err := server.WaitClosed(t.Context()); err != nil {
			t.Errorf("WaitClosed of the side that closed: %v", err)
		}
	})
}

// Protects: messages around a close: what was sent before it arrives, and what
// arrived before it can still be received.
func TestCloseDelivers(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, server := pair(t, opts, opts)
		if err := server.Send(t.Context(), []byte("early")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.link().SetRate(transporttest.ToServer, 1<<20)
		large := strings.Repeat("large", 200_000)
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := client.Send(t.Context(), []byte(large)); err != nil {
				t.Errorf("Send: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() { closeAll(t, client) })
		got, err := server.Receive(t.Context())
		if err != nil || string(got) != large {
			t.Errorf("Receive: %d bytes, %v", len(got), err)
		}
		_, err = server.Receive(t.Context())
		is(t, "Receive", err, io.EOF)
		wg.Wait()
		if got, err := client.Receive(t.Context()); err != nil || string(got) != "early" {
			t.Errorf("Receive after Close: %q, %v", got, err)
		}
		_, err = client.Receive(t.Context())
		is(t, "Receive after Close", err, transport.ErrClosed)
	})
}

// Protects: the bound on the message that Close lets finish: then it is cut off
// between two frames, the peer still gets the close frame, and nobody takes the
// message for a whole one.
func TestCloseCutsLongMessage(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		p, client, server := pair(t, opts, opts)
		p.link().SetRate(transporttest.ToServer, 100<<10)
		var wg sync.WaitGroup
		wg.Go(func() {
			err := client.Send(t.Context(), make([]byte, 10<<20))
			is(t, "Send", err, transport.ErrClosed)
			if transport.OutcomeOf(err) != transport.MaybeSent {
				t.Errorf("the outcome of %v", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		wg.Go(func() { closeAll(t, client) })
		got, err := server.Receive(t.Context())
		if err == nil {
			t.Errorf("received %d bytes", len(got))
		}
		closedWith(t, "Receive", err, transport.StatusNormal, true)
		wg.Wait()
		within(t, "Close", start, 10*time.Second)
		if took := time.Since(start); took < 5*time.Second {
			t.Errorf("the message got %v to finish", took)
		}
	})
}

// Protects: the end of a transport that lingers for its peer's sake. Close and
// Abort end that, and a new connection does not wait for it.
func TestCloseEndsLingering(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, MaxMessageSize: 10})
		client := p.rawClient(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		client.send(rawFrame{fin: true, opcode: opText, payload: make([]byte, 11)})
		_, err = server.Receive(t.Context())
		is(t, "Receive", err, transport.ErrMessageTooLarge)
		start := time.Now()
		closeAll(t, server)
		within(t, "Close", start, 0)
		if server.State() != transport.Failed {
			t.Errorf("the state is %s", server.State())
		}
		is(t, "WaitClosed", server.WaitClosed(t.Context()), transport.ErrMessageTooLarge)
	})
}

// Protects: the cause of an abort, which WaitClosed tells even if it looks like
// that of a close.
func TestAbortWithErrClosed(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine}
		_, client, _ := pair(t, opts, opts)
		client.Abort(transport.ErrClosed)
		is(t, "WaitClosed", client.WaitClosed(t.Context()), transport.ErrClosed, io.ErrUnexpectedEOF)
		if client.State() != transport.Failed {
			t.Errorf("the state is %s", client.State())
		}
	})
}

// Protects: streams that are being read at the end of a connection.
func TestCloseDuringStream(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		for name, end := range map[string]func(client, server *websocket.Transport){
			"own close": func(_, server *websocket.Transport) { closeAll(t, server) },
			"abort":     func(_, server *websocket.Transport) { server.Abort(errors.New("the cause")) },
			"loss":      func(client, _ *websocket.Transport) { client.Abort(nil) },
		} {
			opts := &websocket.Options{Engine: engine}
			_, client, server := pair(t, opts, opts)
			source, feed := io.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := client.SendStream(t.Context(), transport.Binary, source); err == nil {
					t.Errorf("%s: SendStream succeeded", name)
				}
			})
			if _, err := feed.Write(make([]byte, 100<<10)); err != nil {
				t.Fatal(err)
			}
			_, r, err := server.ReceiveStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				_, err := io.Copy(io.Discard, r)
				is(t, name, err, io.ErrUnexpectedEOF)
			})
			synctest.Wait()
			wg.Go(func() { end(client, server) })
			synctest.Wait()
			if err := feed.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if err := r.Close(); err != nil {
				t.Errorf("%s: Close of the stream: %v", name, err)
			}
			if _, err := server.Receive(t.Context()); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("%s: Receive: %v", name, err)
			}
		}
	})
}

// Protects: who waits for the rest of a message when it is closed: the peer may
// never send it.
func TestCloseDuringMessage(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		for name, receive := range map[string]func(*websocket.Transport) error{
			"Receive": func(at *websocket.Transport) error {
				_, err := at.Receive(t.Context())
				return err
			},
			"ReceiveStream": func(at *websocket.Transport) error {
				_, r, err := at.ReceiveStream(t.Context())
				if err == nil {
					_, err = io.Copy(io.Discard, r)
				}
				return err
			},
		} {
			p := newPlace(t, &websocket.Options{Engine: engine})
			client := p.rawClient(t)
			accepted, err := p.accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			server := accepted.(*websocket.Transport)
			client.send(rawFrame{opcode: opText, payload: make([]byte, 100_000)})
			received := make(chan error, 1)
			go func() { received <- receive(server) }()
			synctest.Wait()
			start := time.Now()
			closed := make(chan struct{})
			go func() {
				defer close(closed)
				closeAll(t, server)
			}()
			is(t, name, <-received, transport.ErrClosed)
			within(t, name, start, 0)
			<-closed
			within(t, "Close", start, 10*time.Second)
		}
	})
}

// Protects: a reader of a stream that is closed while it waits.
func TestStreamCloseUnblocksRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client, server := pair(t, nil, nil)
		source, feed := io.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := client.SendStream(t.Context(), transport.Binary, source); err != nil {
				t.Errorf("SendStream: %v", err)
			}
		})
		if _, err := feed.Write(make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		_, r, err := server.ReceiveStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if n, err := io.Copy(io.Discard, r); err == nil {
				t.Errorf("a stream that was closed ended after %d bytes", n)
			}
		})
		synctest.Wait()
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := feed.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		usable(t, client, server)
	})
}
