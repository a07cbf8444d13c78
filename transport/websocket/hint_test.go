package websocket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// hintAbove is the largest message without a hint.
const hintAbove = 1<<20 + 64<<10

// hint returns a pong with what follows the prefix of a hint.
func hint(says any) rawFrame {
	return rawFrame{fin: true, opcode: opPong, payload: fmt.Appendf(nil, "aip.size:%v", says)}
}

// fragments returns a binary message in fragments.
func fragments(message []byte, fragment int) (all []rawFrame) {
	for opcode := byte(opBinary); ; opcode = opContinuation {
		n := min(len(message), fragment)
		all = append(all, rawFrame{fin: n == len(message), opcode: opcode, payload: message[:n]})
		if message = message[n:]; len(message) == 0 {
			return all
		}
	}
}

// Protects: peers from frames that tell nothing. A very large message whose size
// is known is announced, directly before its first fragment, and nothing else
// is.
func TestHintIsSent(t *testing.T) {
	sends := map[string]func(ctx context.Context, from *websocket.Transport, message []byte) error{
		"Send": func(ctx context.Context, from *websocket.Transport, m []byte) error {
			return from.Send(context.WithoutCancel(ctx), m)
		},
		"Send with a context that can end": func(ctx context.Context, from *websocket.Transport, m []byte) error {
			return from.Send(ctx, m)
		},
		"SendFrames": func(ctx context.Context, from *websocket.Transport, m []byte) error {
			return from.SendFrames(ctx, transport.Frame{Kind: transport.Text, Data: []byte("first")}, transport.Frame{Kind: transport.Binary, Data: m})
		},
		"SendStream": func(ctx context.Context, from *websocket.Transport, m []byte) error {
			return from.SendStream(ctx, transport.Binary, bytes.NewReader(m))
		},
	}
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		opts := &websocket.Options{Engine: engine, PingInterval: -1}
		p := newPlace(t, opts)
		p.network.Apply(func(l *transporttest.Link) { l.Record() })
		client := p.client(opts)
		if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
			t.Fatal(err)
		}
		accepted, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server := accepted.(*websocket.Transport)
		var want []string // of either way
		for name, send := range sends {
			for _, size := range []int{1000, 65_537, hintAbove, hintAbove + 1} {
				for _, way := range [][2]*websocket.Transport{{client, server}, {server, client}} {
					sent := make(chan error, 1)
					go func() { sent <- send(t.Context(), way[0], bytes.Repeat([]byte("x"), size)) }()
					if name == "SendFrames" {
						if _, err := way[1].ReceiveFrame(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					got, err := way[1].ReceiveFrame(t.Context())
					if err != nil || len(got.Data) != size {
						t.Errorf("%s of %d bytes: %d, %v", name, size, len(got.Data), err)
					}
					if err := <-sent; err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if size > hintAbove && name != "SendStream" {
					want = append(want, fmt.Sprintf("aip.size:%d before %d", size, size))
				}
			}
		}
		closeAll(t, client, server)
		for _, d := range transporttest.Directions {
			if got := hintsIn(t, recorded(t, p.link(), d)); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", d, got, want)
			}
		}
	})
}

// hintsIn returns each pong among the frames, with the size of the message whose
// first fragment comes next.
func hintsIn(t *testing.T, frames []rawFrame) (all []string) {
	t.Helper()
	for i, f := range frames {
		if f.opcode != opPong {
			continue
		}
		if frames = frames[i+1:]; len(frames) == 0 || frames[0].fin || frames[0].opcode != opText && frames[0].opcode != opBinary {
			t.Errorf("%q is not before a first fragment", f.payload)
		}
		size := 0
		for _, f := range frames {
			if size += len(f.payload); f.fin {
				break
			}
		}
		return append([]string{fmt.Sprintf("%s before %d", f.payload, size)}, hintsIn(t, frames)...)
	}
	return nil
}

// Protects: peers that agreed on compression, and those whose frames another
// library writes: they get what that library sends.
func TestHintsOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlace(t, &websocket.Options{Compression: true, PingInterval: -1})
		for _, connect := range []func(testing.TB) *rawConn{p.rawClient, p.rawCompressing} {
			client := connect(t)
			server, err := p.accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			frames := make(chan []byte, 1)
			go func() {
				wire, _ := io.ReadAll(client.r) // The end is a cut.
				frames <- wire
			}()
			if err := server.Send(t.Context(), make([]byte, 3<<20)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			p.link().Cut(nil)
			if wire := <-frames; bytes.Contains(wire, []byte("aip.size")) {
				t.Error("a hint was sent")
			}
		}
	})
	eachLibrary(t, websocket.Options{PingInterval: -1}, func(t *testing.T, p *place, client, server *websocket.Transport) {
		p.link().Record()
		sent := make(chan error, 1)
		go func() { sent <- server.Send(t.Context(), make([]byte, 3<<20)) }()
		if got, err := client.Receive(t.Context()); err != nil || len(got) != 3<<20 {
			t.Errorf("Receive: %d bytes, %v", len(got), err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if bytes.Contains(p.link().Recorded(transporttest.ToClient), []byte("aip.size")) {
			t.Error("a hint was sent")
		}
	})
}

// Protects: messages. Whatever pongs say, right or wrong, what follows is
// received as it is, and nobody keeps more memory than twice its size.
func TestHintsAreHints(t *testing.T) {
	const large = 1_500_000
	ping := rawFrame{fin: true, opcode: opPing, payload: []byte("?")}
	begin, rest := fragments(numbered(7, large), 50_000), []rawFrame(nil)
	begin, rest = begin[:10], begin[10:]
	for name, frames := range map[string][]rawFrame{
		"right":           append([]rawFrame{hint(large)}, fragments(numbered(7, large), 64<<10)...),
		"too small":       append([]rawFrame{hint(hintAbove + 1)}, fragments(numbered(7, large), 64<<10)...),
		"a byte small":    append([]rawFrame{hint(large - 1)}, fragments(numbered(7, large), 64<<10)...),
		"a byte large":    append([]rawFrame{hint(large + 1)}, fragments(numbered(7, large), 64<<10)...),
		"too large":       append([]rawFrame{hint(2 * large)}, fragments(numbered(7, large), 64<<10)...),
		"far too large":   append([]rawFrame{hint(20 * large)}, fragments(numbered(7, large), 64<<10)...),
		"above the limit": append([]rawFrame{hint(70 << 20)}, fragments(numbered(7, large), 64<<10)...),
		"small fragments": append([]rawFrame{hint(large)}, fragments(numbered(7, large), 999)...),
		"one fragment, then the last, empty": {hint(large), {opcode: opBinary, payload: numbered(7, large)},
			{fin: true, opcode: opContinuation}},
		"one frame":          append([]rawFrame{hint(2 * large)}, fragments(numbered(7, large), large)...),
		"small":              append([]rawFrame{hint(large)}, fragments(numbered(7, 10), 10)...),
		"small in fragments": append([]rawFrame{hint(large)}, fragments(numbered(7, 1000), 10)...),
		"middling":           append([]rawFrame{hint(large)}, fragments(numbered(7, 300_000), 64<<10)...),
		"for a small one":    append([]rawFrame{hint(10)}, fragments(numbered(7, 1000), 10)...),
		"empty message":      {hint(large), {fin: true, opcode: opBinary}},
		"pings between":      append([]rawFrame{hint(large), ping, ping}, fragments(numbered(7, large), 64<<10)...),
		"pongs between":      append([]rawFrame{hint(large), {fin: true, opcode: opPong}, {fin: true, opcode: opPong, payload: []byte("1")}}, fragments(numbered(7, large), 64<<10)...),
		"twice":              append([]rawFrame{hint(2 * large), hint(large)}, fragments(numbered(7, large), 64<<10)...),
		"within a message":   slices.Concat(begin, []rawFrame{hint(large), hint("")}, rest),
		"absurd":             append(absurd(), fragments(numbered(7, large), 64<<10)...),
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine, MaxMessageSize: 64 << 20, PingInterval: -1})
				client := p.rawClient(t)
				accepted, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				server := accepted.(*websocket.Transport)
				var want []byte
				pings := 0
				for _, f := range frames {
					switch f.opcode {
					case opPing:
						pings++
					case opBinary, opContinuation:
						want = append(want, f.payload...)
					}
				}
				receive := map[string]func() ([]byte, error){
					"ReceiveFrame": func() ([]byte, error) {
						got, err := server.ReceiveFrame(t.Context())
						if cap(got.Data) > 2*len(got.Data)+8 {
							t.Errorf("a message of %d bytes holds %d", len(got.Data), cap(got.Data))
						}
						return got.Data, err
					},
					"ReceiveStream": func() ([]byte, error) {
						_, r, err := server.ReceiveStream(t.Context())
						if err != nil {
							return nil, err
						}
						return io.ReadAll(r)
					},
					"Borrow": func() (got []byte, err error) {
						err = server.Borrow(t.Context(), func(f transport.Frame) error {
							got = bytes.Clone(f.Data)
							return nil
						})
						return got, err
					},
				}
				for _, how := range []string{"ReceiveFrame", "ReceiveStream", "Borrow"} {
					sent := make(chan struct{})
					go func() {
						defer close(sent)
						client.send(frames...)
					}()
					if got, err := receive[how](); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s: %d bytes %.8x, %v; want %d", how, len(got), got, err, len(want))
					}
					<-sent
					for range pings {
						if f := client.next(); f.opcode != opPong || string(f.payload) != "?" {
							t.Errorf("the answer to a ping is %x %q", f.opcode, f.payload)
						}
					}
				}
				// A hint is for the message after it and for no other, and no
				// answer to a ping.
				client.send(hint(large))
				pinged := make(chan error, 1)
				go func() { pinged <- server.Ping(t.Context()) }()
				f := client.next()
				if f.opcode != opPing {
					t.Fatalf("%x %q instead of a ping", f.opcode, f.payload)
				}
				client.send(hint(large))
				synctest.Wait()
				select {
				case err := <-pinged:
					t.Fatalf("a hint answered a ping: %v", err)
				default:
				}
				client.send(rawFrame{fin: true, opcode: opPong, payload: f.payload})
				if err := <-pinged; err != nil {
					t.Errorf("Ping: %v", err)
				}
				client.send(hint(large), closeFrame(1000, "bye"))
				_, err = server.Receive(t.Context())
				closedWith(t, "Receive", err, transport.StatusNormal, true)
				if f := client.next(); f.opcode != opClose {
					t.Errorf("%x %q instead of a close frame", f.opcode, f.payload)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
				closeAll(t, server)
			})
		})
	}
}

// absurd returns pongs that say no size that there could be.
func absurd() (all []rawFrame) {
	for _, says := range []any{
		-1, 0, 1, hintAbove, "", " 9000000", "+9000000", "9000000 ", "9e9", "0x9000000", "9_000_000", "9000000.5", "९०००००००", "\xff\xff",
		uint64(1<<63 - 1), uint64(1 << 63), uint64(1<<64 - 1), strings.Repeat("9", 20), strings.Repeat("9", 116), strings.Repeat("0", 109) + "9000000",
	} {
		all = append(all, hint(says))
	}
	for _, payload := range []string{"", "aip.size", "AIP.SIZE:9000000", "9000000", "xaip.size:9000000"} {
		all = append(all, rawFrame{fin: true, opcode: opPong, payload: []byte(payload)})
	}
	return all
}

// Protects: the limit on messages, and the rules for control frames, which hold
// whatever a pong says.
func TestHintsAllowNothing(t *testing.T) {
	for name, test := range map[string]struct {
		frames []rawFrame
		code   transport.StatusCode
	}{
		"a small size for a message above the limit": {append([]rawFrame{hint(2_500_000)}, fragments(make([]byte, 3<<20), 64<<10)...), transport.StatusMessageTooBig},
		"a size above the limit":                     {append([]rawFrame{hint(3 << 20)}, fragments(make([]byte, 3<<20), 64<<10)...), transport.StatusMessageTooBig},
		"of 126 bytes":                               {[]rawFrame{hint(strings.Repeat("9", 117))}, transport.StatusProtocolError},
		"in fragments":                               {[]rawFrame{{opcode: opPong, payload: hint(3 << 20).payload}}, transport.StatusProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine, MaxMessageSize: 2_600_000, PingInterval: -1})
				client := p.rawClient(t)
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for _, f := range test.frames {
						_, _ = client.Write(f.bytes(true)) // The server may have closed.
					}
				}()
				_, err = server.Receive(t.Context())
				closedWith(t, "Receive", err, test.code, false)
				<-sent
				if frames := client.rest0(time.Second); len(frames) != 1 || frames[0].opcode != opClose {
					t.Errorf("the peer was told %v", frames)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
				closedWith(t, "WaitClosed", server.WaitClosed(t.Context()), test.code, false)
			})
		})
	}
}

// Protects: memory, and the program, from a peer that says much and sends
// little.
func TestHintTakesNoMemory(t *testing.T) {
	for says, limit := range map[uint64]int64{100 << 20: 100 << 20, 65 << 20: 64 << 20, 1 << 40: -1, 1<<63 - 1: -1} {
		eachEngine(t, func(t *testing.T, engine websocket.Engine) {
			p := newPlace(t, &websocket.Options{Engine: engine, ReadLimit: limit})
			client := p.rawClient(t)
			server, err := p.accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			go func() {
				for _, f := range append([]rawFrame{hint(says)}, fragments(make([]byte, 3<<20), 64<<10)...) {
					f.fin = f.opcode == opPong // There is more to come, but nothing comes.
					client.send(f)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			}()
			_, err = server.Receive(t.Context())
			runtime.ReadMemStats(&after)
			is(t, "Receive", err, io.ErrUnexpectedEOF)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 30<<20 { // The test's own are a part of them.
				t.Errorf("a message of %d bytes that was hinted at took %d bytes", says, grown)
			}
		})
	}
}

// Protects: what hints are for. A message whose size is known is received into
// its place, and takes hardly more memory than that in all.
func TestHintSavesMemory(t *testing.T) {
	const size = 32 << 20
	accepted := make(chan *websocket.Transport, 1)
	url := listen(t, func(w http.ResponseWriter, r *http.Request) {
		server, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &websocket.Options{PingInterval: -1}})
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- server
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	client := shakeHands(t, conn, "")
	server := <-accepted
	var message bytes.Buffer
	for _, f := range fragments(numbered(1, size), 64<<10) {
		message.Write(f.bytes(true))
	}
	var wg sync.WaitGroup
	for _, hinted := range []bool{true, false} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		wg.Go(func() {
			if hinted {
				client.send(hint(size))
			}
			client.write(message.Bytes())
		})
		got, err := server.ReceiveFrame(t.Context())
		runtime.ReadMemStats(&after)
		wg.Wait()
		if err != nil || !bytes.Equal(got.Data, numbered(1, size)) {
			t.Fatalf("ReceiveFrame: %d bytes, %v", len(got.Data), err)
		}
		grown := after.TotalAlloc - before.TotalAlloc
		// The race detector has pools forget a quarter of what is given back.
		if enough := grown <= size+size/2; enough != hinted {
			t.Errorf("a message of %d bytes took %d; hinted: %t", size, grown, hinted)
		}
	}
	closeRaw(t, client, server)
}
