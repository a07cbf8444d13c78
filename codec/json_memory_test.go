package codec_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// Short strings share memory with each other, long ones do not, and none with
// the text: of every length, with and without escapes, each is what it was.
func TestDecodeCopiesStrings(t *testing.T) {
	var want []string
	for n := range 200 {
		want = append(want, strings.Repeat("x", n), strings.Repeat("é", n/2), strings.Repeat("\"\\\n", n/3), strings.Repeat("a", n)+"\u2028")
	}
	for range 3 {
		text, err := json.Marshal(map[string]any{"type": "task", "status": "ok", "messages": want, "session_id": "s", "error": strings.Repeat("e", 99)})
		if err != nil {
			t.Fatal(err)
		}
		var m messages.ServerMessage
		if err := (codec.JSON{}).Decode(text, &m); err != nil {
			t.Fatal(err)
		}
		clear(text)
		if !reflect.DeepEqual(m.Messages, want) || m.SessionID != "s" || m.Error != strings.Repeat("e", 99) {
			t.Fatalf("decoded as %q", m.Messages)
		}
		want = append(want, want[:7]...) // lie elsewhere in the memory they share
		want = want[7:]
	}
}

// A string that is kept keeps little else: neither its message nor its text.
func TestKeptStringKeepsLittle(t *testing.T) {
	const count = 400
	text := fmt.Appendf(nil, `{"type":"command_results","status":"ok","session_id":"5e9d3b7a-1f2c-4d3e-8a9b-0c1d2e3f4a5b","action_results":[{"status":"success","result":"%s"}]}`,
		strings.Repeat("r", 64<<10))
	kept := make([]string, count)
	before := liveHeap()
	for i := range kept {
		var m messages.ClientMessage
		if err := (codec.JSON{}).Decode(text, &m); err != nil {
			t.Fatal(err)
		}
		kept[i] = m.SessionID
	}
	if each := (int64(liveHeap()) - int64(before)) / count; each > 1<<10 {
		t.Errorf("a session id keeps %d bytes", each)
	}
	runtime.KeepAlive(kept)
}

func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Decoding allocates for the text that strings share, for each free-form value
// and for each list, but not for each string.
func TestDecodeAllocatesLittle(t *testing.T) {
	for _, test := range []struct {
		name, text string
		m          any
		most       float64
	}{
		{"heartbeat", `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"device-0001","timestamp":"2026-01-02T03:04:05.678901+00:00",` +
			`"request_id":"7d2f9c1e-58b4-4a6e-9f03-2c1d7b8e6a55","metadata":{"load":0.25}}`, new(messages.ClientMessage), 2},
		{"command", `{"type":"command","status":"continue","user_request":"Find the largest files.","agent_name":"LinuxAgent","actions":[` +
			`{"tool_name":"execute_command","parameters":{"command":"ls\n"},"tool_type":"action","call_id":"0b7a4f52-93d1-4d8a-8a56-e7f1c2b3d4e5"},` +
			`{"tool_name":"get_system_info","parameters":{"fields":["cpu"]},"tool_type":"data_collection","call_id":"1c8b5a63"}],` +
			`"session_id":"5e9d3b7a-1f2c-4d3e-8a9b-0c1d2e3f4a5b","messages":["one\ttwo","three"]}`, new(messages.ServerMessage), 5},
	} {
		text := []byte(test.text)
		got := testing.AllocsPerRun(100, func() {
			if err := (codec.JSON{}).Decode(text, test.m); err != nil {
				t.Fatal(err)
			}
		})
		if got > test.most {
			t.Errorf("%s: %v allocations, want %v at most", test.name, got, test.most)
		}
	}
}

// What is not UTF-8 is told as that, whatever else is wrong with the message,
// and whether it is read before or after.
func TestDecodeInvalidUTF8First(t *testing.T) {
	for text, offset := range map[string]int{
		"{\"type\":5,\"session_id\":\"\xff\"}": 24,
		"{\"type\":x,\"a\":\"\xff\"}":          15,
		"[\"\xff\"]":                           2,
		"\xff":                                 0,
		"{\"status\":\"ok\"} \xc3":             16,
		"{\"type\":[[[1]]],\"a\":\"é\xff\"}":   23,
	} {
		err := codec.JSON{MaxDepth: 2}.Decode([]byte(text), new(messages.ClientMessage))
		if want := (&codec.SyntaxError{Offset: offset, Reason: "invalid UTF-8"}); err == nil || err.Error() != want.Error() {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
