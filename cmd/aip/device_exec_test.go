//go:build unix

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func newExecutor(t *testing.T, dir string, names ...string) *executor {
	t.Helper()
	programs, err := findPrograms(names)
	if err != nil {
		t.Fatal(err)
	}
	return &executor{programs: programs, dir: dir, device: "d", report: newReport(io.Discard, false)}
}

func TestArgv(t *testing.T) {
	for command, want := range map[string][]string{
		"echo":            {"echo"},
		"  echo  a b ":    {"echo", "a", "b"},
		"echo ü=1 -n %d!": {"echo", "ü=1", "-n", "%d!"},
	} {
		p := execParameters{Command: command}
		if got, err := p.argv(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, %v", command, got, err)
		}
	}
	for _, sign := range shellSigns {
		p := execParameters{Command: "echo " + string(sign)}
		if got, err := p.argv(); err == nil {
			t.Errorf("%q: %q", p.Command, got)
		}
	}
	for _, p := range []execParameters{{}, {Command: "  "}, {Argv: []string{}}, {Argv: []string{""}}, {Command: "a", Argv: []string{"a"}}} {
		if got, err := p.argv(); err == nil {
			t.Errorf("%v: %q", p, got)
		}
	}
}

func TestExecute(t *testing.T) {
	t.Setenv(tokenVariable, testToken)
	t.Setenv("OTHER_SECRET", testToken)
	dir := t.TempDir()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	x := newExecutor(t, dir, "echo", "env", "pwd", sh)
	shell := func(script string) execParameters { return execParameters{Argv: []string{sh, "-c", script}} }
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		p    execParameters
		want execResult
	}{
		{execParameters{Command: "echo a b"}, execResult{Success: true, Stdout: "a b\n"}},
		{execParameters{Argv: []string{"echo", "$HOME; 'a' *"}}, execResult{Success: true, Stdout: "$HOME; 'a' *\n"}},
		{execParameters{Command: "pwd"}, execResult{Success: true, Stdout: real + "\n"}},
		{shell("echo oops >&2; exit 7"), execResult{ExitCode: 7, Stderr: "oops\n"}},
		{shell("kill -9 $$"), execResult{ExitCode: -1}},
		{shell(`printf '\377'`), execResult{Success: true, Stdout: "\uFFFD"}},
		{shell("cat"), execResult{Success: true}}, // no input
	} {
		if got, err := x.execute(t.Context(), test.p); err != nil || got != test.want {
			t.Errorf("%v: %+v, %v", test.p, got, err)
		}
	}
	got, err := x.execute(t.Context(), execParameters{Command: "env"})
	if err != nil || !strings.Contains(got.Stdout, "PATH=") || strings.Contains(got.Stdout, testToken) {
		t.Errorf("a program's environment is %v, %v", got, err)
	}
	for _, argv := range [][]string{{"sh"}, {"./echo"}, {"/bin/../bin/sh"}, {"ECHO"}, {"echo "}, {"e\x00cho"}} {
		if got, err := x.execute(t.Context(), execParameters{Argv: argv}); !errors.Is(err, errNotAllowed) || got != (execResult{}) {
			t.Errorf("%q: %v, %v", argv, got, err)
		}
	}
}

// TestExecuteCannotStart: a program that is gone is a failure without a path.
func TestExecuteCannotStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	x := newExecutor(t, "", path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := x.execute(t.Context(), execParameters{Argv: []string{path}}); err == nil || strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}

func TestFindPrograms(t *testing.T) {
	file := tempFile(t, "file", "") // not executable
	for _, name := range []string{"", "no-such-program", file, t.TempDir()} {
		if got, err := findPrograms([]string{name}); err == nil {
			t.Errorf("%q: %v", name, got)
		}
	}
	got, err := findPrograms([]string{"echo", "echo"})
	if err != nil || len(got) != 1 || !filepath.IsAbs(got["echo"]) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestExecuteBomb: each output has a bound, and a program that writes more is
// ended.
func TestExecuteBomb(t *testing.T) {
	x := newExecutor(t, "", "sh")
	for _, script := range []string{"yes", "yes >&2", "yes & yes >&2"} {
		got, err := x.execute(t.Context(), execParameters{Argv: []string{"sh", "-c", script}})
		if err != nil || !got.Truncated || got.Success || max(len(got.Stdout), len(got.Stderr)) != maxOutput {
			t.Errorf("%s: %d and %d bytes, %v", script, len(got.Stdout), len(got.Stderr), err)
		}
	}
	got, err := x.execute(t.Context(), execParameters{Argv: []string{"sh", "-c", "head -c 262144 /dev/zero"}})
	if err != nil || got.Truncated || !got.Success || len(got.Stdout) != maxOutput {
		t.Errorf("%d bytes, %v", len(got.Stdout), err)
	}
}

// TestExecuteEnded: with the end of the context, or of the program itself, what
// it has started in its group is killed: nobody holds the pipe any more.
func TestExecuteEnded(t *testing.T) {
	errOver := errors.New("over")
	for name, test := range map[string]struct {
		script string
		cut    bool
	}{
		"cut":         {"exec 3>pipe; sleep 1000 & sleep 1000", true},
		"left behind": {"exec 3>pipe; sleep 1000 >&3 2>&3 & exit 3", false},
		"holds on":    {"exec 3>pipe; sleep 1000 & exit 3", false},
	} {
		t.Run(name, func(t *testing.T) {
			root, path := pipe(t)
			x := newExecutor(t, root, "sh")
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			type end struct {
				result execResult
				err    error
			}
			done := make(chan end, 1)
			go func() {
				result, err := x.execute(ctx, execParameters{Argv: []string{"sh", "-c", test.script}})
				done <- end{result, err}
			}()
			reader, err := os.Open(path) // when the first writer is there
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			if test.cut {
				cancel(errOver)
			}
			if _, err := io.ReadAll(reader); err != nil { // until the last one is gone
				t.Error(err)
			}
			got := <-done
			if test.cut && !errors.Is(got.err, errOver) || !test.cut && (got.err != nil || got.result.ExitCode != 3) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestExecutorIsListed: who asks for the tools learns what is allowed.
func TestExecutorIsListed(t *testing.T) {
	tool := newExecutor(t, "", "echo", "cat").tool()
	if tool.Name != "execute_command" || tool.Type != messages.ToolAction || !strings.HasSuffix(tool.Description, ": cat, echo.") {
		t.Errorf("%s: %s", tool.Name, tool.Description)
	}
}
