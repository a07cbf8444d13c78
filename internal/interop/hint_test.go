package interop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport/websocket"
)

// hintedSize is that of a text which makes a message of more than a few
// fragments.
const hintedSize = 3 << 20

// large is a message of that size that was received.
func large(h *happening) bool { return h.Event == "received" && h.Size > hintedSize }

// checkHints checks what pongs that nobody asked for have told the program: the
// sizes of the large messages that it received, and nothing if they are
// compressed.
func checkHints(t *testing.T, p *program, compression bool) {
	t.Helper()
	var got, want []string
	for _, h := range p.all() {
		switch {
		case h.Event == "unasked":
			got = append(got, h.Text)
		case large(h) && !compression:
			want = append(want, fmt.Sprintf("aip.size:%d", h.Size))
		}
	}
	if !slices.Equal(got, want) || len(want) == 0 && !compression {
		t.Errorf("the pongs that nobody asked for say %q, want %q", got, want)
	}
}

// TestProgramHints: a very large message comes after a pong that tells its size.
// A client of Python's receives the message, its pings are answered, and it goes
// on (9.3.1).
func TestProgramHints(t *testing.T) {
	for _, compression := range []bool{false, true} {
		t.Run(fmt.Sprintf("compression %t", compression), func(t *testing.T) {
			handler := func(ctx context.Context, task *endpoint.Task) (any, error) {
				want := strings.Repeat(task.Request, hintedSize)
				results, err := task.Do(ctx, command("execute_command", object{"command": "echo " + want}))
				if err != nil {
					return nil, err
				}
				var text string
				if err := results[0].Result.Decode(&text); err != nil || text != want {
					return nil, errors.Join(fmt.Errorf("%d characters came", len(text)), err)
				}
				return nil, nil
			}
			server := serve(t, endpoint.ServerOptions{Handler: handler}, websocket.Options{Compression: compression, PingInterval: 200 * time.Millisecond})
			p := server.device(t, "dev", "--ping-interval", "0.2", "--ping-timeout", "5")
			for range 2 {
				ownTask(p, "x")
				p.await(t, "the command", large)
				p.await(t, "the end of the task, with its result", large)
				p.happens("ping")
				p.happens("pong")
			}
			checkHints(t, p, compression)
		})
	}
}

// TestDeviceHints: the same for a server of Python's (9.1.2).
func TestDeviceHints(t *testing.T) {
	for _, compression := range []bool{false, true} {
		t.Run(fmt.Sprintf("compression %t", compression), func(t *testing.T) {
			s := startServer(t, "--ping-interval", "0.2", "--ping-timeout", "5")
			s.device(t, endpoint.DeviceOptions{Tools: []endpoint.Tool{{
				Name: "big", Run: func(context.Context, messages.Value) (any, error) { return strings.Repeat("x", hintedSize), nil },
			}}}, websocket.Options{Compression: compression, PingInterval: 200 * time.Millisecond})
			for range 2 {
				s.command("big", object{"tool_name": "big"})
				s.await(t, "results", large)
				s.happens("ping")
				s.happens("pong")
			}
			checkHints(t, s.program, compression)
		})
	}
}
