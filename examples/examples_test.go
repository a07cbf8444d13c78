// Package examples holds small programs, one a folder, that show one thing
// each. A test runs every one of them and compares what it prints; those of the
// three roles, server, device and constellation, run together.
package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

func TestExamples(t *testing.T) {
	programs, err := filepath.Glob("*/main.go")
	if err != nil || len(programs) == 0 {
		t.Fatalf("no examples found: %v", err)
	}
	for _, program := range programs {
		dir := filepath.Dir(program)
		if slices.Contains(roles, dir) || ownModule(dir) {
			continue // See TestRoles, and the tests of the module.
		}
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(filepath.Join(dir, "output.txt"))
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "go", "run", "./"+dir)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, stderr.Bytes())
			}
			if !bytes.Equal(stdout.Bytes(), want) {
				t.Errorf("printed\n%s\nwant\n%s", stdout.Bytes(), want)
			}
		})
	}
}

// ownModule reports whether an example is a module, for a dependency of its own.
func ownModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
