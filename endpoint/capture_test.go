package endpoint

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// frame is a line of a capture: a recorded conversation between the
// reference's programs.
type frame struct {
	line  int
	Time  float64 `json:"t"`
	Conn  int     `json:"conn"`
	From  string  `json:"from"`
	Open  bool    `json:"open"`
	Text  string  `json:"text"`
	Close *struct {
		Code   int    `json:"code"`
		Reason string `json:"reason"`
	} `json:"close"`
}

// at is when the frame was recorded.
func (f frame) at() time.Duration { return time.Duration(f.Time * float64(time.Second)) }

func readCapture(t *testing.T, name string) []frame {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var frames []frame
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for line := 1; lines.Scan(); line++ {
		f := frame{line: line}
		if err := json.Unmarshal(lines.Bytes(), &f); err != nil {
			t.Fatalf("%s line %d: %v", name, line, err)
		}
		frames = append(frames, f)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if len(frames) == 0 {
		t.Fatalf("%s is empty", name)
	}
	return frames
}

// ids translates the ids that the peers of a recording made up into those of
// this run.
type ids map[string]string

// learn notes that two values, of the same form, are the same but for these
// ids.
func (n ids) learn(recorded, actual any) {
	if r, ok := recorded.(string); ok {
		if a, ok := actual.(string); ok && r != "" {
			n[r] = a
		}
	}
}

// translate returns v with the recorded ids replaced.
func (n ids) translate(v any) any {
	switch v := v.(type) {
	case string:
		if actual, ok := n[v]; ok {
			return actual
		}
		return v
	case object:
		return object(n.translate(map[string]any(v)).(map[string]any))
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[key] = n.translate(value)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			out[i] = n.translate(value)
		}
		return out
	default:
		return v
	}
}

// callIDs returns the call ids of a command.
func callIDs(m object) []any {
	var list []any
	actions, _ := m["actions"].([]any)
	for _, action := range actions {
		list = append(list, action.(map[string]any)["call_id"])
	}
	return list
}

func unmarshal(text string, v any) error { return json.Unmarshal([]byte(text), v) }

func marshal(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
