package websocket_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the limit on messages, at its edges, in one frame and in many,
// above and below what is received as a stream.
func TestReadLimit(t *testing.T) {
	for _, limit := range []int{1, 125, 64 << 10, 200_000, 2 << 20} {
		for _, fragment := range []int{1 << 30, 10_000} {
			t.Run(fmt.Sprintf("%d in %d", limit, fragment), func(t *testing.T) {
				eachEngine(t, func(t *testing.T, engine websocket.Engine) {
					p := newPlace(t, &websocket.Options{Engine: engine, MaxMessageSize: int64(limit)})
					client := p.rawClient(t)
					server, err := p.accept(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					sent := make(chan struct{})
					go func() {
						defer close(sent)
						for _, size := range []int{limit - 1, limit, limit + 1} {
							client.sendMessage(size, fragment)
						}
					}()
					for _, size := range []int{limit - 1, limit} {
						got, err := server.Receive(t.Context())
						if err != nil || len(got) != size {
							t.Fatalf("a message of %d: %d bytes, %v", size, len(got), err)
						}
					}
					_, err = server.Receive(t.Context())
					is(t, "Receive", err, transport.ErrMessageTooLarge)
					closedWith(t, "Receive", err, transport.StatusMessageTooBig, false)
					if transport.Retryable(err) {
						t.Errorf("%v is retryable", err)
					}
					<-sent
					frames := client.rest()
					if len(frames) != 1 || frames[0].opcode != opClose || !bytes.HasPrefix(frames[0].payload, []byte{0x03, 0xF1}) {
						t.Errorf("the peer was told %v", frames)
					}
					if err := client.Close(); err != nil {
						t.Error(err)
					}
					is(t, "WaitClosed", server.WaitClosed(t.Context()), transport.ErrMessageTooLarge)
				})
			})
		}
	}
}

// sendMessage sends a text message in fragments. An error is no matter.
func (c *rawConn) sendMessage(size, fragment int) {
	opcode := byte(opText)
	for {
		n := min(size, fragment)
		size -= n
		if _, err := c.Write((rawFrame{fin: size == 0, opcode: opcode, payload: bytes.Repeat([]byte{'x'}, n)}).bytes(c.client)); err != nil || size == 0 {
			return
		}
		opcode = opContinuation
	}
}

// Protects: the sender of a message that is too large for its peer. It is told
// so, although its own write may have failed before, so that it does not try
// again for ever.
func TestSenderLearnsOfLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		for _, size := range []int{100_000, 10 << 20} {
			_, client, server := pair(t, &websocket.Options{Engine: engine}, &websocket.Options{Engine: engine, MaxMessageSize: 1000})
			err := client.Send(t.Context(), make([]byte, size))
			if err == nil {
				_, err = client.Receive(t.Context())
			}
			closedWith(t, "the sender", err, transport.StatusMessageTooBig, true)
			if transport.Retryable(err) {
				t.Errorf("%v is retryable", err)
			}
			is(t, "the receiver", server.WaitClosed(t.Context()), transport.ErrMessageTooLarge)
		}
	})
}

// Protects: the reason why the peer closed, which may arrive after a write has
// failed for it.
func TestLateCloseReason(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, nil)
		conns := p.rawServer(t, "raw:80")
		client := p.client(&websocket.Options{Engine: engine, PingInterval: -1})
		if err := client.Connect(t.Context(), "ws://raw/"); err != nil {
			t.Fatal(err)
		}
		raw := <-conns
		p.link().SetDelay(transporttest.ToClient, 500*time.Millisecond)
		raw.send(closeFrame(1008, "not you"))
		p.link().CutAfter(transporttest.ToServer, p.link().Written(transporttest.ToServer)+10, nil)
		err := client.Send(t.Context(), make([]byte, 100_000))
		closedWith(t, "Send", err, transport.StatusPolicyViolation, true)
		if client.State() != transport.Disconnected && client.State() != transport.Disconnecting {
			t.Errorf("the state is %s", client.State())
		}
		if err := client.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// Protects: a server that allows little before it knows its client.
func TestSetReadLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		_, client, server := pair(t, &websocket.Options{Engine: engine}, &websocket.Options{Engine: engine, MaxMessageSize: 100})
		usable(t, client, server)
		server.SetReadLimit(1000)
		if err := client.Send(t.Context(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if got, err := server.Receive(t.Context()); err != nil || len(got) != 1000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		is(t, "Send over the own limit", server.Send(t.Context(), make([]byte, 101)), transport.ErrMessageTooLarge)
		if err := client.Send(t.Context(), make([]byte, 1001)); err != nil {
			t.Fatal(err)
		}
		_, err := server.Receive(t.Context())
		is(t, "Receive", err, transport.ErrMessageTooLarge)
	})
}

// Protects: the same from the first byte on; SetReadLimit after Accept may be
// too late for the first message.
func TestFirstReadLimit(t *testing.T) {
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		_, client, server := pair(t, &websocket.Options{Engine: engine}, &websocket.Options{Engine: engine, ReadLimit: 100, MaxMessageSize: 1000})
		if err := server.Send(t.Context(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if _, err := client.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := client.Send(t.Context(), make([]byte, 101)); err != nil {
			t.Fatal(err)
		}
		_, err := server.Receive(t.Context())
		is(t, "Receive", err, transport.ErrMessageTooLarge)
	})
}

// Protects: memory from messages that are small on the wire only.
func TestCompressionBomb(t *testing.T) {
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 32<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	frame := rawFrame{fin: true, opcode: opBinary, payload: bytes.TrimSuffix(bomb.Bytes(), []byte{0, 0, 0xff, 0xff})}.bytes(true)
	frame[0] |= 0x40 // It is compressed.
	eachEngine(t, func(t *testing.T, engine websocket.Engine) {
		p := newPlace(t, &websocket.Options{Engine: engine, Compression: true, MaxMessageSize: 100 << 10})
		client := p.rawCompressing(t)
		server, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		client.write(frame)
		_, err = server.Receive(t.Context())
		runtime.ReadMemStats(&after)
		is(t, "Receive", err, transport.ErrMessageTooLarge)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
			t.Errorf("the bomb took %d bytes", grown)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Protects: compression, which is off unless both sides want it.
func TestCompression(t *testing.T) {
	message := strings.Repeat("AIP AIP AIP ", 10_000)
	for _, on := range []bool{false, true} {
		t.Run(fmt.Sprint(on), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p, client, server := pair(t, &websocket.Options{Engine: engine, Compression: true}, &websocket.Options{Engine: engine, Compression: on})
				before := p.link().Written(transporttest.ToServer)
				for range 3 {
					if err := client.Send(t.Context(), []byte(message)); err != nil {
						t.Fatal(err)
					}
					if err := client.SendStream(t.Context(), transport.Text, strings.NewReader(message)); err != nil {
						t.Fatal(err)
					}
					for range 2 {
						if got, err := server.Receive(t.Context()); err != nil || string(got) != message {
							t.Fatalf("%d bytes, %v", len(got), err)
						}
					}
				}
				usable(t, client, server)
				if written := p.link().Written(transporttest.ToServer) - before; on != (written < int64(len(message))) {
					t.Errorf("%d bytes on the wire for %d", written, 6*len(message))
				}
			})
		})
	}
}

// Protects: texts. What is not UTF-8 is refused with 1007, wherever the fault
// lies, and characters may lie across any boundary.
func TestInvalidUTF8(t *testing.T) {
	euros := strings.Repeat("€", 50_000)
	for name, text := range map[string]struct {
		text string
		ok   bool
	}{
		"characters everywhere": {"x" + euros, true},
		"short":                 {"\xff", false},
		"surrogate":             {"\xed\xa0\x80", false},
		"cut short":             {"€\xe2\x82", false},
		"cut short after long":  {euros + "\xe2\x82", false},
		"in the middle":         {euros + "\xff" + euros, false},
		"overlong":              {"\xc0\xaf", false},
		"beyond Unicode":        {"\xf4\x90\x80\x80", false},
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine, ReceiveQueueBytes: -1})
				client := p.rawClient(t)
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				client.send(rawFrame{fin: true, opcode: opText, payload: []byte("before")})
				bytes := []byte(text.text)
				for first := byte(opText); ; first = opContinuation {
					n := min(len(bytes), 7919)
					client.send(rawFrame{fin: n == len(bytes), opcode: first, payload: bytes[:n]})
					if bytes = bytes[n:]; len(bytes) == 0 {
						break
					}
				}
				if got, err := server.Receive(t.Context()); err != nil || string(got) != "before" {
					t.Fatalf("%q, %v", got, err)
				}
				got, err := server.Receive(t.Context())
				if text.ok {
					if err != nil || string(got) != text.text {
						t.Fatalf("%d bytes, %v", len(got), err)
					}
					closeRaw(t, client, server)
					return
				}
				is(t, "Receive", err, transport.ErrInvalidUTF8)
				if f := client.next(); f.opcode != opClose || f.payload[1] != 0xEF {
					t.Errorf("the peer was told %x %q", f.opcode, f.payload)
				}
				if err := client.Close(); err != nil {
					t.Error(err)
				}
				closedWith(t, "WaitClosed", server.WaitClosed(t.Context()), transport.StatusInvalidPayload, false)
			})
		})
	}
}

// Protects: the protocol. A peer that breaks it is told so, and the connection
// has failed.
func TestProtocolErrors(t *testing.T) {
	for name, wire := range map[string][]byte{
		"reserved bit":                rawFlags(0x40, rawFrame{fin: true, opcode: opText, payload: []byte("x")}),
		"unknown opcode":              rawFrame{fin: true, opcode: 0x3}.bytes(true),
		"unmasked":                    rawFrame{fin: true, opcode: opText, payload: []byte("x")}.bytes(false),
		"continuation of nothing":     rawFrame{fin: true, opcode: opContinuation}.bytes(true),
		"message in a message":        append(rawFrame{opcode: opText}.bytes(true), rawFrame{opcode: opText}.bytes(true)...),
		"fragmented ping":             rawFrame{opcode: opPing}.bytes(true),
		"long ping":                   rawFrame{fin: true, opcode: opPing, payload: make([]byte, 126)}.bytes(true),
		"close frame of one byte":     rawFrame{fin: true, opcode: opClose, payload: []byte{3}}.bytes(true),
		"close code that is reserved": closeFrame(1005, "").bytes(true),
	} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				p := newPlace(t, &websocket.Options{Engine: engine})
				client := p.rawClient(t)
				server, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				client.write(wire)
				_, err = server.Receive(t.Context())
				is(t, "Receive", err, websocket.ErrProtocol)
				closedWith(t, "Receive", err, transport.StatusProtocolError, false)
				if server.State() != transport.Failed {
					t.Errorf("the state is %s", server.State())
				}
				frames := client.rest0(time.Second)
				if len(frames) != 1 || frames[0].opcode != opClose || frames[0].payload[1] != 0xEA {
					t.Errorf("the peer was told %v", frames)
				}
				// A peer that does not close does not keep the connection.
				start := time.Now()
				is(t, "WaitClosed", server.WaitClosed(t.Context()), websocket.ErrProtocol)
				within(t, "the end", start, 10*time.Second)
			})
		})
	}
}

// Protects: clients from masked frames, which a server must not send (RFC 6455
// section 5.1): the engines would deliver the bytes as they are on the wire.
func TestMaskedByServer(t *testing.T) {
	for name, frame := range map[string]rawFrame{
		"message":       {fin: true, opcode: opBinary, payload: []byte("data")},
		"empty message": {fin: true, opcode: opBinary},
		"ping":          {fin: true, opcode: opPing, payload: []byte("ping")},
	} {
		for _, atOnce := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/at once %v", name, atOnce), func(t *testing.T) {
				eachEngine(t, func(t *testing.T, engine websocket.Engine) {
					p := newPlace(t, nil)
					conns := p.rawServer(t, "raw:80")
					client := p.client(&websocket.Options{Engine: engine})
					if err := client.Connect(t.Context(), "ws://raw/"); err != nil {
						t.Fatal(err)
					}
					server := <-conns
					wire := append(rawFrame{fin: true, opcode: opBinary, payload: []byte("before")}.bytes(false), frame.bytes(true)...)
					for len(wire) > 0 {
						n := len(wire)
						if !atOnce {
							n = 1
						}
						server.write(wire[:n])
						wire = wire[n:]
						synctest.Wait()
					}
					if got, err := client.ReceiveFrame(t.Context()); err != nil || string(got.Data) != "before" {
						t.Errorf("ReceiveFrame: %q, %v", got.Data, err)
					}
					got, err := client.ReceiveFrame(t.Context())
					if err == nil {
						t.Fatalf("received %q", got.Data)
					}
					is(t, "ReceiveFrame", err, websocket.ErrProtocol)
					closedWith(t, "ReceiveFrame", err, transport.StatusProtocolError, false)
					if f := server.next(); f.opcode != opClose || f.payload[1] != 0xEA {
						t.Errorf("the peer was told %x %q", f.opcode, f.payload)
					}
					if err := server.Close(); err != nil {
						t.Error(err)
					}
					closeAll(t, client)
				})
			})
		}
	}
}

func rawFlags(flags byte, f rawFrame) []byte {
	b := f.bytes(true)
	b[0] |= flags
	return b
}

// rest0 returns the frames that come within a time.
func (c *rawConn) rest0(d time.Duration) []rawFrame {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	return framesIn(c.t, c.r)
}

// Protects: the first cause. Everybody is told of the loss, and nobody takes it
// for a clean close.
func TestLoss(t *testing.T) {
	for name, end := range map[string]error{"end": nil, "reset": io.ErrClosedPipe} {
		t.Run(name, func(t *testing.T) {
			eachEngine(t, func(t *testing.T, engine websocket.Engine) {
				closed := make(chan *transport.CloseError, 2)
				opts := &websocket.Options{Engine: engine, Hooks: websocket.Hooks{Closed: func(c *transport.CloseError) { closed <- c }}}
				p, client, server := pair(t, opts, opts)
				if err := server.Send(t.Context(), []byte("last words")); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				p.link().Cut(end)
				for _, side := range []*websocket.Transport{client, server} {
					if err := side.WaitClosed(t.Context()); err == nil {
						t.Error("WaitClosed: nil after a loss")
					}
					closedWith(t, "the hook", <-closed, transport.StatusAbnormal, false)
				}
				if got, err := client.Receive(t.Context()); err != nil || string(got) != "last words" {
					t.Errorf("Receive: %q, %v", got, err)
				}
				for range 3 {
					_, err := client.Receive(t.Context())
					is(t, "Receive", err, io.ErrUnexpectedEOF)
					if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
						t.Errorf("%v looks like a clean end", err)
					}
					if transport.OutcomeOf(client.Send(t.Context(), nil)) != transport.NotSent || !transport.Retryable(err) {
						t.Errorf("%v: not sent and retryable are due", err)
					}
				}
				if err := client.Reset(); err != nil {
					t.Errorf("Reset: %v", err)
				}
				if err := client.Connect(t.Context(), "ws://server/ws"); err != nil {
					t.Fatalf("Connect: %v", err)
				}
				again, err := p.accept(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				usable(t, client, again)
				closeAll(t, client, again)
			})
		})
	}
}
