// Package jsoncase has the messages by which ways to read and write JSON are
// measured, and takes the measurements.
package jsoncase

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/aip-go/aip/internal/bench/jsoncase/parsed"
	"github.com/aip-go/aip/internal/bench/jsoncase/raw"
)

// Case is a message.
type Case struct {
	Name, Title string
	Text        []byte
	Server      bool // whether it is a server's message
}

// ResultSize is the size, in bytes, of the largest message.
const ResultSize = 1 << 20

// All returns the messages that are measured. size is that of the largest one,
// in bytes, which is ResultSize but for tests.
func All(size int) []Case {
	return []Case{
		{Name: "heartbeat", Title: "heartbeat of 230 B", Text: []byte(heartbeat)},
		{Name: "command", Title: "command of 1 KB", Text: []byte(command), Server: true},
		{Name: "result", Title: "result of 1 MiB", Text: result(size)},
	}
}

// Named returns the message of that name.
func Named(name string, size int) (Case, bool) {
	for _, c := range All(size) {
		if c.Name == name {
			return c, true
		}
	}
	return Case{}, false
}

const heartbeat = `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"device-0001",` +
	`"timestamp":"2026-01-02T03:04:05.678901+00:00","request_id":"7d2f9c1e-58b4-4a6e-9f03-2c1d7b8e6a55",` +
	`"metadata":{"load":0.25,"tasks":2,"uptime":12345}}`

const command = `{"type":"command","status":"continue","user_request":"Find the largest files under /var/log and summarise them.",` +
	`"agent_name":"LinuxAgent","process_name":"bash","root_name":"bash","actions":[` +
	`{"tool_name":"execute_command","parameters":{"command":"find /var/log -type f -printf '%s %p\\n' | sort -rn | head -20","timeout":30,"environment":{"LANG":"C.UTF-8","TZ":"UTC"}},"tool_type":"action","call_id":"0b7a4f52-93d1-4d8a-8a56-e7f1c2b3d4e5"},` +
	`{"tool_name":"get_system_info","parameters":{"fields":["cpu","memory","disk"],"verbose":true},"tool_type":"data_collection","call_id":"1c8b5a63-a4e2-4e9b-9b67-f8a2d3c4e5f6"}],` +
	`"session_id":"5e9d3b7a-1f2c-4d3e-8a9b-0c1d2e3f4a5b","task_name":"disk-usage-report","timestamp":"2026-01-02T03:04:05.678901+00:00",` +
	`"response_id":"9a8b7c6d-5e4f-4a3b-9c2d-1e0f9a8b7c6d","messages":["planning the next step","two tools are needed"]}`

// result is a message with the result of a command, of about that size: the
// controls of a window, as a device reports them.
func result(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"type":"command_results","status":"continue","client_type":"device","session_id":"5e9d3b7a-1f2c-4d3e-8a9b-0c1d2e3f4a5b",` +
		`"client_id":"device-0001","action_results":[{"status":"success","result":{"controls":[`)
	for i := 0; b.Len() < size-400; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"annotation_id":"%d","control_type":"Button","control_text":"Save as \"%s\"","control_rect":[%d,%d,%d,%d],"enabled":%t,"scale":%d.25,"parent":null}`,
			i, strings.Repeat("ä", i%7), i%1920, i%1080, i%1920+80, i%1080+24, i%2 == 0, i%4)
	}
	b.WriteString(`]},"call_id":"0b7a4f52-93d1-4d8a-8a56-e7f1c2b3d4e5"}],"timestamp":"2026-01-02T03:04:05.678901+00:00",` +
		`"prev_response_id":"9a8b7c6d-5e4f-4a3b-9c2d-1e0f9a8b7c6d"}`)
	return b.Bytes()
}

// Model returns a new, empty model of the message, with its free-form values
// left as text if leave, and else parsed.
func (c Case) Model(leave bool) any {
	switch {
	case leave && c.Server:
		return new(raw.ServerMessage)
	case leave:
		return new(raw.ClientMessage)
	case c.Server:
		return new(parsed.ServerMessage)
	default:
		return new(parsed.ClientMessage)
	}
}

// Library is a way to read and write JSON.
type Library struct {
	Name      string
	Marshal   func(m any) ([]byte, error)
	Unmarshal func(text []byte, m any) error
}

// Step returns one encoding of the message, or else one decoding of it.
func (l Library) Step(c Case, leave, encode bool) (func() error, error) {
	if !encode {
		return func() error { return l.Unmarshal(c.Text, c.Model(leave)) }, nil
	}
	m := c.Model(leave)
	if err := l.Unmarshal(c.Text, m); err != nil {
		return nil, err
	}
	return func() error {
		_, err := l.Marshal(m)
		return err
	}, nil
}

// Verify reports whether the library keeps all of a message, in both
// directions.
func (l Library) Verify(c Case, leave bool) error {
	m := c.Model(leave)
	if err := l.Unmarshal(c.Text, m); err != nil {
		return err
	}
	text, err := l.Marshal(m)
	if err != nil {
		return err
	}
	return Same(text, c.Text)
}

// Same reports two texts that are not the same value.
func Same(got, want []byte) error {
	var values [2]any
	for i, text := range [][]byte{got, want} {
		if err := json.Unmarshal(text, &values[i]); err != nil {
			return err
		}
	}
	texts := [2][]byte{}
	for i, value := range values {
		var err error
		if texts[i], err = json.Marshal(value); err != nil {
			return err
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		return fmt.Errorf("another message of %d bytes came back, of %d", len(got), len(want))
	}
	return nil
}

// Figures are those of a turn, per step.
type Figures struct {
	Time   float64 // nanoseconds
	Allocs float64
}

// Take takes steps for a turn, after a fifth of it to warm up.
func Take(step func() error, turn time.Duration) (Figures, error) {
	if _, _, err := repeat(step, turn/5); err != nil {
		return Figures{}, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, took, err := repeat(step, turn)
	runtime.ReadMemStats(&after)
	return Figures{float64(took) / float64(n), float64(after.Mallocs-before.Mallocs) / float64(n)}, err
}

// repeat takes steps for a time, once at least.
func repeat(step func() error, atLeast time.Duration) (n int, took time.Duration, err error) {
	start := time.Now()
	for batch := 1; took < atLeast || n == 0; { // steps between two looks at the clock
		for range batch {
			if err := step(); err != nil {
				return n, took, err
			}
		}
		n += batch
		if took = time.Since(start); took < atLeast/100 {
			batch = min(2*batch, 256)
		}
	}
	return n, took, nil
}
