package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// TestDemo: everything the demonstration promises is there to read, in lines
// that are aligned and hold nothing meant for a terminal.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	code, out, stderr := aip(t, nil, "demo")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, out)
	}
	for _, want := range []string{
		`server         listens on ws://127\.0\.0\.1:\d+/ws`,
		`server         device "desk" has registered`,
		`server         device "laptop" has registered`,
		`server         constellation "galaxy@desk" has registered`,
		`server         has answered at least 2 heartbeats on each of 4 connections`,
		`constellation  learns about "laptop": \w+, \d+ CPUs?, host `,
		`desk           runs 3 commands of task count-on-desk`,
		`laptop         runs 3 commands of task count-on-laptop`,
		`constellation  has \d\.\d\d s of work done after \d\.\d\d s`,
		`desk           sends measurements.bin: 50 %`,
		`server         has it after \d+\.\d\d s, verified: SHA-256 [0-9a-f]{16}…, MD5 [0-9a-f]{32}`,
		`desk           loses its connection while it works`,
		`server         device "desk" has lost its connection and may come back`,
		`server         device "desk" has come back to its session`,
		`desk           is back \d+ ms later; its session goes on`,
		`constellation  has the result of "desk": 3 words, SHA-256 9366d7b0…, NOTHING IS LOST`,
		`laptop         loses its connection`,
		`server         device "laptop" is lost`,
		`constellation  is told \d+ ms later: Task was cancelled because target device disconnected`,
		`server         refuses a task: Target device 'laptop' is not connected`,
		`constellation  is told at once: Target device 'laptop' is not connected`,
		`constellation  has the result of "laptop": 2 words, SHA-256 d805354d…, BACK AGAIN`,
		`server         is closed: 4 tasks completed, 1 failed, 1 refused; \d+ heartbeats answered`,
	} {
		if !regexp.MustCompile(`(?m)^  +\d+\.\d{3}s  ` + want).MatchString(out) {
			t.Errorf("there is no line %s", want)
		}
	}
	if i := strings.IndexFunc(out, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }); i >= 0 {
		t.Errorf("there is a control character: %q", out[i:])
	}
	if t.Failed() {
		t.Log(out)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// events returns the objects of a JSON output.
func events(t *testing.T, out string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for line := range strings.Lines(out) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if event["event"] == "" || event["event"] == nil || event["t"] == nil {
			t.Errorf("%s has no event or no time", line)
		}
		list = append(list, event)
	}
	return list
}

func TestDemoJSON(t *testing.T) {
	code, out, stderr := aip(t, nil, "demo", "--json")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit code %d: %s\n%s", code, stderr, out)
	}
	list, count := events(t, out), map[any]int{}
	for _, event := range list {
		count[event["event"]]++
	}
	for event, want := range map[string]int{
		"step": 9, "listening": 1, "registered": 6, "detached": 1, "resumed": 1, "disconnected": 5, "heartbeats": 1, "device_info": 2,
		"task": 5, "task_completed": 4, "task_failed": 1, "task_refused": 2, "tasks_done": 1, "progress": 4,
		"file_sent": 1, "file_received": 1, "cut": 2, "command": 9, "summary": 1, "done": 1,
	} {
		if count[event] != want {
			t.Errorf("there are %d events %q, want %d", count[event], event, want)
		}
	}
	done := list[len(list)-1]
	for key, want := range map[string]any{
		"event": "done", "ok": true, "tasks_completed": 4.0, "tasks_failed": 1.0, "tasks_refused": 1.0, "commands": 9.0,
	} {
		if done[key] != want {
			t.Errorf("the last event has %s %v, want %v", key, done[key], want)
		}
	}
	if !strings.HasPrefix(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:], `{"event":"done","ok":true,`) {
		t.Error("the last event does not begin as documented")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// watcher calls f with each line that is written.
type watcher struct {
	mu sync.Mutex
	bytes.Buffer
	f func(line string)
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f(string(p))
	return w.Buffer.Write(p)
}

// TestDemoInterrupted: an interrupt ends the demonstration at any step, and
// nothing is left behind.
func TestDemoInterrupted(t *testing.T) {
	for _, at := range []string{`"listening"`, `"command"`, `"progress"`, `"cut"`} {
		t.Run(at, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, interrupt := context.WithCancel(context.Background())
			defer interrupt()
			out := &watcher{f: func(line string) {
				if strings.Contains(line, at) {
					interrupt()
				}
			}}
			var stderr bytes.Buffer
			if code := run(ctx, []string{"demo", "--json"}, streams{in: strings.NewReader(""), out: out, err: &stderr}); code != exitInterrupted {
				t.Errorf("exit code %d: %s", code, stderr.String())
			}
			list := events(t, out.String())
			if last := list[len(list)-1]; last["event"] != "done" || last["ok"] != false || last["error"] == nil {
				t.Errorf("the last event is %v", last)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
		})
	}
}

// TestDemoFails: a step that fails is named, with the reason.
func TestDemoFails(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	code, out, stderr := aip(t, nil, "demo", "--json")
	if code != exitFailed || !strings.HasPrefix(stderr, `aip demo: step "Registration`) || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	list := events(t, out)
	if last := list[len(list)-1]; last["event"] != "done" || last["ok"] != false {
		t.Errorf("the last event is %v", last)
	}
}

// full is a disk that is.
type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestDemoCannotBeSeen: output that cannot be written is a failure.
func TestDemoCannotBeSeen(t *testing.T) {
	var stderr bytes.Buffer
	code := run(context.Background(), []string{"demo"}, streams{in: strings.NewReader(""), out: full{}, err: &stderr})
	if code != exitFailed || !strings.Contains(stderr.String(), errFull.Error()) {
		t.Errorf("exit code %d: %s", code, stderr.String())
	}
}
