package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// vectors is what was put to the reference implementation, with its verdicts.
const vectors = "../../codec/testdata/vectors.jsonl"

func TestValidate(t *testing.T) {
	in := strings.Join([]string{
		`{"type":"heartbeat","status":"ok","client_id":"ü<&>","metadata":{"n":12345678901234567890}}`,
		``,
		`{"type":"nope","action_results":[{"status":"success"},{"status":5}]}` + "\r",
		`{"type":`,
		`   `,
		`{"type":"heartbeat","status":"ok","metadata":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`,
		`{"status":"ok","type":"error"}`, // no line end
	}, "\n")
	want := []string{
		`{"accept":true,"output":{"type":"heartbeat","status":"ok","client_type":"device","session_id":null,"task_name":null,"client_id":"ü<&>","target_id":null,"request":null,"action_results":null,"timestamp":null,"request_id":null,"prev_response_id":null,"error":null,"metadata":{"n":12345678901234567890}},"errors":[]}`,
		`{"accept":false,"output":null,"errors":[{"field":"type","rule":"enum","message":"*"},{"field":"action_results[1].status","rule":"*","message":"*"},{"field":"status","rule":"required","message":"*"}]}`,
		`{"accept":false,"output":null,"errors":[{"field":"","rule":"syntax","message":"*"}]}`,
		`{"accept":false,"output":null,"errors":[{"field":"","rule":"depth","message":"*"}]}`,
		`{"accept":true,"output":{"type":"error","status":"ok","client_type":"device","session_id":null,"task_name":null,"client_id":null,"target_id":null,"request":null,"action_results":null,"timestamp":null,"request_id":null,"prev_response_id":null,"error":null,"metadata":null},"errors":[]}`,
	}
	path := filepath.Join(t.TempDir(), "messages")
	if err := os.WriteFile(path, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{}, {"-"}, {path}} {
		code, out, stderr := aip(t, strings.NewReader(in), append([]string{"validate", "--model", "ClientMessage"}, args...)...)
		if code != exitOK || stderr != "" {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out)
		}
		for i, line := range lines {
			if strings.Contains(want[i], `:true,`) {
				if line != want[i] {
					t.Errorf("got  %s\nwant %s", line, want[i])
				}
				continue
			}
			sameVerdict(t, line, want[i])
		}
	}
}

// sameVerdict compares two lines in which * stands for any text.
func sameVerdict(t *testing.T, got, want string) {
	t.Helper()
	type verdict struct {
		Accept *bool
		Output json.RawMessage
		Errors []map[string]string
	}
	var g, w verdict
	for text, v := range map[string]*verdict{got: &g, want: &w} {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	for i := range min(len(g.Errors), len(w.Errors)) {
		for key, value := range w.Errors[i] {
			if value == "*" && g.Errors[i][key] != "" {
				g.Errors[i][key] = "*"
			}
		}
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestValidateLongLine: lines are as long as messages may be.
func TestValidateLongLine(t *testing.T) {
	in := `{"type":"heartbeat","status":"ok","request":"` + strings.Repeat("x", 5<<20) + "\"}\n"
	code, out, stderr := aip(t, strings.NewReader(in+in), "validate", "--model", "ClientMessage")
	if code != exitOK || strings.Count(out, `"accept":true`) != 2 || len(out) < 10<<20 {
		t.Errorf("exit code %d, %d bytes: %s", code, len(out), stderr)
	}
}

// TestValidateConversation: whoever writes a line and waits gets the answer.
func TestValidateConversation(t *testing.T) {
	inReader, in := io.Pipe()
	out, outWriter := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), []string{"validate", "--model", "Rect"}, streams{in: inReader, out: outWriter, err: io.Discard})
	}()
	answers := bufio.NewReader(out)
	for range 3 {
		if _, err := io.WriteString(in, `{"x":1,"y":2,"width":3,"height":4}`+"\n"); err != nil {
			t.Fatal(err)
		}
		if line, err := answers.ReadString('\n'); err != nil || line != `{"accept":true,"output":{"x":1,"y":2,"width":3,"height":4},"errors":[]}`+"\n" {
			t.Fatalf("%s, %v", line, err)
		}
	}
	_ = in.Close()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d", got)
	}
}

// TestValidateInterrupted: an interrupt ends the command while it waits for
// input.
func TestValidateInterrupted(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"validate", "--model", "Rect"}, streams{in: reader, out: io.Discard, err: io.Discard})
	}()
	cancel()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
}

// differs are the vectors on which this project differs from the reference on
// purpose (docs/interop.md).
var differs = map[string]bool{
	"ClientMessage-nan-0247":           true,
	"BinaryMetadata-int-coercion-0298": true,
	"BinaryMetadata-int-coercion-0300": true,
	"BinaryMetadata-int-coercion-0302": true,
	"ControlInfo-bool-coercion-0313":   true,
	"ControlInfo-bool-coercion-0314":   true,
	"ControlInfo-bool-coercion-0316":   true,
	"ControlInfo-bool-coercion-0317":   true,
	"ControlInfo-bool-coercion-0320":   true,
}

func TestValidateVectors(t *testing.T) {
	code, out, stderr := aip(t, nil, "validate", "--vectors", vectors)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	file, err := os.ReadFile(vectors)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	inputs := strings.Split(strings.TrimSpace(string(file)), "\n")
	if len(lines) != 321 || len(inputs) != 321 {
		t.Fatalf("%d lines for %d vectors", len(lines), len(inputs))
	}
	for i, line := range lines {
		var got struct {
			ID     string
			Accept bool
			Output any
			Errors []fieldError
		}
		var want struct {
			ID     string
			Accept bool
			Output string
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if err := json.Unmarshal([]byte(inputs[i]), &want); err != nil {
			t.Fatal(err)
		}
		if got.ID != want.ID || got.Accept != (want.Accept && !differs[want.ID]) || got.Accept != (len(got.Errors) == 0) {
			t.Errorf("%s: %s", want.ID, line)
			continue
		}
		if !got.Accept {
			continue
		}
		var output any
		if err := json.Unmarshal([]byte(want.Output), &output); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(withoutUnset(got.Output), withoutUnset(output)) {
			t.Errorf("%s: wrote %v, the reference writes %s", want.ID, got.Output, want.Output)
		}
	}
}

// withoutUnset removes nulls and empty strings from objects: they mean the same
// as an absent field.
func withoutUnset(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			if value != nil && value != "" {
				out[key] = withoutUnset(value)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = withoutUnset(value)
		}
		return out
	default:
		return v
	}
}

func TestValidateWrongVectors(t *testing.T) {
	for text, want := range map[string]string{
		"\n{not json":                            "line 2: not a vector",
		`{"id":"a","model":"Rect"}`:              "line 1: not a vector: it has no input",
		`{"id":"a","model":"Nope","input":"{}"}`: `line 1: there is no model "Nope"`,
	} {
		path := filepath.Join(t.TempDir(), "vectors")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, stderr := aip(t, nil, "validate", "--vectors", path); code != exitFailed || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d: %s", text, code, stderr)
		}
	}
}
