package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestChecklists: README.md has every line of the checklists, each with tests
// that exist and name it, and leaves out no test.
func TestChecklists(t *testing.T) {
	comments := map[string]string{} // of tests
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	declaration := regexp.MustCompile(`((?:// .*\n)*)func (Test\w+)\(t \*testing\.T`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
			comments[m[2]] = m[1]
		}
	}
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, named := map[string]bool{}, map[string]bool{"TestChecklists": true, "TestFaults": true}
	for _, row := range regexp.MustCompile(`(?m)^\| (9\.\d\.\d+) \|.*\| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		rows[row[1]] = true
		for _, test := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1) {
			named[test[1]] = true
			if !regexp.MustCompile(`\b` + regexp.QuoteMeta(row[1]) + `\b`).MatchString(comments[test[1]]) {
				t.Errorf("README.md has %s for %s, which does not say so", test[1], row[1])
			}
		}
	}
	for section, lines := range map[int]int{1: 13, 2: 9, 3: 9, 4: 8} {
		for line := 1; line <= lines; line++ {
			if name := fmt.Sprintf("9.%d.%d", section, line); !rows[name] {
				t.Errorf("README.md has no tests for %s", name)
			}
		}
	}
	for test := range comments {
		if !named[test] {
			t.Errorf("README.md does not name %s", test)
		}
	}
}

// TestFaults: the check of what clients have sent finds what they must not.
func TestFaults(t *testing.T) {
	frame := func(client, text string) *happening {
		h := &happening{Event: "received", Client: client, Text: text}
		if err := json.Unmarshal([]byte(text), &h.Message); err != nil {
			t.Fatal(err)
		}
		return h
	}
	const (
		register = `{"type":"register","status":"ok","client_type":"device","client_id":"d"}`
		good     = `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"d"}`
		problem  = `{"type":"error","status":"error","client_type":"device","client_id":"d"}`
	)
	if found := faults([]*happening{frame("", register), frame("d", good)}); len(found) != 0 {
		t.Error(found)
	}
	for name, second := range map[string]string{
		"registers twice":   register,
		"no status":         `{"type":"heartbeat","client_type":"device","client_id":"d"}`,
		"another id":        `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"e"}`,
		"another role":      `{"type":"heartbeat","status":"ok","client_type":"constellation","client_id":"d"}`,
		"not for devices":   `{"type":"device_info_request","status":"ok","client_type":"device","client_id":"d"}`,
		"ends tasks":        `{"type":"task_end","status":"ok","client_type":"device","client_id":"d"}`,
		"sequence":          `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"d","seq":1}`,
		"acknowledgement":   `{"type":"heartbeat","status":"ok","client_type":"device","client_id":"d","ack":0}`,
		"reports a problem": problem,
	} {
		if len(faults([]*happening{frame("", register), frame("d", second)})) != 1 {
			t.Errorf("%s: not found", name)
		}
	}
	if len(faults([]*happening{frame("", good)})) != 1 {
		t.Error("a connection without a registration: not found")
	}
}
