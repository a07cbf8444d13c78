package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinary: the program itself, as it is built and run.
func TestBinary(t *testing.T) {
	program := filepath.Join(t.TempDir(), "aip")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("exit codes", func(t *testing.T) {
		for args, want := range map[string]int{"version": exitOK, "": exitUsage, "validate --model Rect no/such/file": exitFailed} {
			err := exec.Command(program, strings.Fields(args)...).Run()
			var exit *exec.ExitError
			if got := 0; errors.As(err, &exit) {
				if got = exit.ExitCode(); got != want {
					t.Errorf("aip %s: exit code %d", args, got)
				}
			} else if err != nil || want != exitOK {
				t.Errorf("aip %s: %v", args, err)
			}
		}
	})
	t.Run("validate", func(t *testing.T) {
		command := exec.Command(program, "validate", "--model", "Rect")
		command.Stdin = strings.NewReader(`{"x":1,"y":2,"width":3,"height":4}`)
		if out, err := command.Output(); err != nil || !strings.HasPrefix(string(out), `{"accept":true,`) {
			t.Errorf("%s, %v", out, err)
		}
	})
	t.Run("reader leaves", func(t *testing.T) {
		files := t.TempDir()
		command := exec.Command(program, "demo")
		command.Env = append(os.Environ(), "TMPDIR="+files)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), "listens on"); {
		}
		if err := out.Close(); err != nil {
			t.Error(err)
		}
		var exit *exec.ExitError
		if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
			t.Errorf("it ended with %v", err)
		}
		if left, err := os.ReadDir(files); err != nil || len(left) > 0 {
			t.Errorf("it left %v behind, %v", left, err)
		}
	})
	t.Run("nowhere to write", func(t *testing.T) {
		var said strings.Builder
		command := exec.Command(program, "demo")
		command.Env = append(os.Environ(), "TMPDIR="+filepath.Join(t.TempDir(), "missing"))
		command.Stderr = &said
		var exit *exec.ExitError
		if err := command.Run(); !errors.As(err, &exit) || exit.ExitCode() != exitFailed || !strings.Contains(said.String(), "a directory for temporary files is needed") {
			t.Errorf("it ended with %v and said %q", err, said.String())
		}
	})
	t.Run("interrupt", func(t *testing.T) {
		command := exec.Command(program, "demo", "--json")
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines, last := bufio.NewScanner(out), ""
		for lines.Scan() {
			last = lines.Text()
			if strings.Contains(last, `"listening"`) {
				if err := command.Process.Signal(os.Interrupt); err != nil {
					t.Error(err)
				}
			}
		}
		var exit *exec.ExitError
		if err := command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
			t.Errorf("it ended with %v", err)
		}
		if !strings.HasPrefix(last, `{"event":"done","ok":false`) {
			t.Errorf("the last event is %s", last)
		}
	})
}
