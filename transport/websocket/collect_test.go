package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// Protects: a message that is read into its place while a receive waits for all
// of it. If that gives up, wherever the message is then, the next one gets all
// of it, and one that takes it as a stream.
func TestGivenUpWhileCollecting(t *testing.T) {
	const pieces, size = 8, 64 << 10
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		send := func(message []byte, from, to int) {
			for i := from; i < to; i++ {
				frame := rawFrame{i == pieces-1, opContinuation, message[i*size : (i+1)*size]}
				if i == 0 {
					frame.opcode = opText
				}
				raw.send(frame)
			}
		}
		text := func(n int) []byte { return bytes.Repeat([]byte{'a' + byte(n%26), '.', 'b', '\n'}, pieces*size/4) }
		ways := map[string]func() ([]byte, error){
			"whole": func() ([]byte, error) { return at.Receive(t.Context()) },
			"lent": func() (data []byte, err error) {
				err = at.Borrow(t.Context(), func(f transport.Frame) error { data = bytes.Clone(f.Data); return nil })
				return data, err
			},
			"stream": func() ([]byte, error) {
				_, r, err := at.ReceiveStream(t.Context())
				if err != nil {
					return nil, err
				}
				data, err := io.ReadAll(r)
				return data, errors.Join(err, r.Close())
			},
		}
		n := 0
		for name, next := range ways {
			for before := range pieces {
				for meanwhile := range 3 {
					there := min(before+meanwhile*3, pieces-1)
					message := text(n)
					n++
					go send(message, 0, before)
					synctest.Wait()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					first := receiving(ctx, at)
					go send(message, before, there)
					r := <-first
					cancel()
					if !errors.Is(r.err, context.DeadlineExceeded) {
						t.Fatalf("Receive of a part: %d bytes, %v", len(r.data), r.err)
					}
					go send(message, there, pieces)
					got, err := next()
					if err != nil || !bytes.Equal(got, message) {
						t.Fatalf("%s, given up after %d and %d pieces: %d bytes, %v", name, before, there, len(got), err)
					}
				}
			}
		}
	})
}

// Protects: who waits for all of a message from the end of the connection in it.
func TestCutOffWhileCollecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, raw := direct(t)
		part := make([]byte, 64<<10)
		more := func(fin bool) rawFrame { return rawFrame{fin, opContinuation, part} }
		// From the first one it is known how much memory the second one may need.
		got := receiving(t.Context(), at)
		raw.send(rawFrame{false, opText, part}, more(false), more(false), more(true))
		if r := <-got; r.err != nil {
			t.Fatal(r.err)
		}
		got = receiving(t.Context(), at)
		raw.send(rawFrame{false, opText, part}, more(false), more(false))
		synctest.Wait()
		_ = raw.Close()
		if r := <-got; !errors.Is(r.err, io.ErrUnexpectedEOF) {
			t.Errorf("Receive: %d bytes, %v", len(r.data), r.err)
		}
	})
}
