package codec_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// benchCases are a heartbeat, a command and a set of results, as sent.
func benchCases(b *testing.B) map[string]any {
	b.Helper()
	parameters, err := messages.NewValue(map[string]any{"command": "ls -l /tmp", "timeout": 30})
	if err != nil {
		b.Fatal(err)
	}
	output, err := messages.NewValue(strings.Repeat("total 8\tdrwxr-xr-x 2 root root 4096\n", 128))
	if err != nil {
		b.Fatal(err)
	}
	command := messages.NewCommand(messages.CommandRequest{
		SessionID: messages.NewID(), TaskName: "bench", AgentName: "LinuxAgent",
		Actions: []messages.Command{
			{ToolName: "execute_command", Parameters: parameters, ToolType: messages.ToolAction},
			{ToolName: "execute_command", Parameters: parameters, ToolType: messages.ToolAction},
		},
	})
	results := messages.NewCommandResults("device-1", command, []messages.Result{
		{Status: messages.ResultSuccess, Result: output, CallID: command.Actions[0].CallID},
		{Status: messages.ResultFailure, Error: "exit status 1", CallID: command.Actions[1].CallID},
	})
	return map[string]any{
		"heartbeat": messages.NewDeviceHeartbeat("device-1"),
		"ack":       messages.NewHeartbeatReply(),
		"command":   command,
		"results":   results,
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, m := range benchCases(b) {
		for _, style := range []struct {
			name  string
			style codec.Style
		}{{"compact", codec.Compact}, {"reference", codec.Reference}} {
			b.Run(name+"/"+style.name, func(b *testing.B) {
				c := codec.JSON{Style: style.style}
				b.ReportAllocs()
				var buf []byte
				for b.Loop() {
					var err error
					if buf, err = c.Append(buf[:0], m); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(len(buf)))
			})
		}
		b.Run(name+"/encodingjson", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf, err := json.Marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(buf)))
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, m := range benchCases(b) {
		text, err := codec.JSON{Style: codec.Reference}.Append(nil, m)
		if err != nil {
			b.Fatal(err)
		}
		var into any = new(messages.ClientMessage)
		if _, ok := m.(*messages.ServerMessage); ok {
			into = new(messages.ServerMessage)
		}
		b.Run(name+"/codec", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := (codec.JSON{}).Decode(text, into); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/encodingjson", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if err := json.Unmarshal(text, into); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
