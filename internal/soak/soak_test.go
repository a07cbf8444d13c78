package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// Protects: the soak run itself: everything ends, and nothing is left.
func TestSoak(t *testing.T) {
	program := filepath.Join(t.TempDir(), "soak")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program, "-devices", "30", "-constellations", "2", "-for", "2s").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`(?m)^30 devices registered after`, `(?m)^tasks: [1-9]\d* completed`, `(?m)^closed: \d+ goroutines`} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("there is no line %s in\n%s", want, out)
		}
	}
}
