package protocol

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// seeds adds frames, one a line, of which those that begin with B are binary.
func seeds(f *testing.F) {
	for _, conversation := range []string{"task_flow.jsonl", "refusals_and_losses.jsonl"} {
		frames := capture(f, conversation)
		for _, frame := range frames[:min(24, len(frames))] {
			f.Add([]byte(frame.Text))
		}
	}
	for _, lines := range []string{
		"{\"type\":\"binary_data\",\"size\":3}\nBabc",
		"{\"type\":\"binary_data\",\"size\":3}\n{\"type\":\"binary_data\",\"size\":3}\nBabc\nBabc",
		"{\"chunk_num\":0,\"chunk_size\":3}\nBabc\n{\"type\":\"heartbeat\",\"status\":\"ok\"}",
		"{\"type\":\"file_transfer_start\",\"filename\":\"../x\",\"size\":-1,\"chunk_size\":0,\"total_chunks\":1e9}",
		"{\"type\":\"file_transfer_complete\"}\nB",
		"{\"type\":\"error\",\"status\":\"error\",\"error\":\"x\"}\n{\"type\":\"error\",\"status\":1}",
		"{\"type\":\"heartbeat\",\"status\":\"ok\",\"session_id\":\"s\"}\n{\"type\":\"heartbeat\",\"status\":\"ok\",\"session_id\":\"s\"}",
		"{\"type\":\"task_end\",\"status\":\"completed\",\"session_id\":\"s\"}",
		"{\"type\":\"device_info_response\",\"status\":\"ok\",\"response_id\":\"r\",\"result\":{\"error\":null}}",
		"null\n[]\n{}\nB\xff\n{\"type\":5}\n{\"type\":null,\"chunk_num\":null}",
	} {
		f.Add([]byte(lines))
	}
}

// playLines sends the lines as frames and closes. Text that is not UTF-8 cannot be
// sent.
func playLines(t *testing.T, peer *transport.Memory, lines []byte) (frames int) {
	for line := range bytes.SplitSeq(lines, []byte("\n")) {
		frame := transport.Frame{Kind: transport.Text, Data: line}
		if data, binary := bytes.CutPrefix(line, []byte("B")); binary {
			frame = transport.Frame{Kind: transport.Binary, Data: data}
		}
		err := peer.SendFrames(context.Background(), frame)
		if errors.Is(err, transport.ErrInvalidUTF8) {
			continue
		}
		must(t, err)
		frames++
	}
	must(t, peer.Close())
	return frames
}

// FuzzRun: whatever arrives, Run ends with the connection and not before, and
// everything that arrived is handed to somebody.
func FuzzRun(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, lines []byte) {
		if bytes.Count(lines, []byte("\n")) > 200 {
			return // more than the memory transport takes in advance
		}
		fuzzRun[messages.ClientMessage, messages.ServerMessage](t, lines, MatchTaskAck("s"), MatchTaskEnd("s"), MatchDeviceInfo("r"), MatchHeartbeat())
		fuzzRun[messages.ServerMessage, messages.ClientMessage](t, lines, MatchCommandResults(&messages.ServerMessage{ResponseID: "r", SessionID: "s"}))
	})
}

func fuzzRun[Out, In Message](t *testing.T, lines []byte, matches ...Match[In]) {
	a, b := transport.NewPair(&transport.MemoryOptions{QueueMessages: -1, QueueBytes: -1})
	p, err := New[Out, In](a, nil)
	must(t, err)
	ctx := context.Background()
	handled, replies := 0, make([]*Reply[In], len(matches))
	for i, match := range matches {
		replies[i], err = p.Expect(ctx, match)
		must(t, err)
	}
	must(t, p.HandleBinary(nil, func(context.Context, *BinaryMessage) error {
		handled += 2
		return nil
	}))
	p.OnError(func(context.Context, *In, error) { handled += 2 }) // of a binary message
	p.OnUnhandled(func(context.Context, *In) { handled++ })
	p.OnLate(func(context.Context, *In) { handled++ })
	p.OnInvalid(func(_ context.Context, e *MessageError) {
		handled++
		if e.Err == nil || e.Code() == "" || e.Error() == "" {
			t.Errorf("%+v", e)
		}
	})
	frames := playLines(t, b, lines)
	must(t, p.Run(ctx))
	answered := 0
	for _, r := range replies {
		m, err := r.Wait(ctx)
		var remote *RemoteError
		switch {
		case m != nil:
			answered++
		case errors.As(err, &remote):
			answered = -1000 // One error may fail several calls.
		}
	}
	if bytes.Contains(lines, []byte("file_transfer_resume")) {
		return // An answer that nobody waits for is dropped.
	}
	if answered >= 0 && handled+answered != frames {
		t.Errorf("%d frames arrived, %d were handled and %d were replies", frames, handled, answered)
	}
}

// FuzzReceive: the same in pull mode, where each error is a typed one.
func FuzzReceive(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, lines []byte) {
		a, b := transport.NewPair(&transport.MemoryOptions{QueueMessages: -1, QueueBytes: -1})
		s, err := NewServer(a, nil)
		must(t, err)
		limit := playLines(t, b, lines)
		for range limit + 1 {
			m, err := s.Receive(context.Background())
			var invalid *MessageError
			switch {
			case err == nil && m.Validate() != nil:
				t.Errorf("received something invalid: %v", m.Validate())
			case err != nil && !errors.As(err, &invalid):
				if !isClean(err) {
					t.Errorf("got %v", err)
				}
				return
			}
		}
		t.Errorf("more came than was sent: %d frames", limit)
	})
}
