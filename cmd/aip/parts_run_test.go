//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// both runs a test with parts in this process, and with real processes.
func both(t *testing.T, test func(t *testing.T, start starter)) {
	t.Setenv(tokenVariable, testToken)
	t.Run("here", func(t *testing.T) { test(t, here) })
	t.Run("processes", func(t *testing.T) { test(t, build(t)) })
}

const filePlan = `
commands:
  - tool: read_file
    type: data_collection
    parameters: {path: notes.txt}
  - tool: execute_command
    parameters: {argv: [echo, "{{request}}", "twice: {{request}}"]}
  - {tool: execute_command, parameters: {command: echo as one text}}
`

// TestParts: a server, a device and a task, to read and as JSON.
func TestParts(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		root := t.TempDir()
		if err := os.WriteFile(filepath.Join(root, "notes.txt"), []byte("remember"), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("to read", func(t *testing.T) {
			server, url := serves(t, start, filePlan)
			desk := device(t, start, url, "--root", root, "--allow", "echo")
			server.next(`device "desk" has registered`)
			out, stderr := task(t, start, url, `$HOME "and" {{request}}`).ends(exitOK)
			checkResult(t, []byte(out), `$HOME "and" {{request}}`)
			if stderr != "" {
				t.Error(stderr)
			}
			server.next(`task .* for "desk": "\$HOME \\"and\\" \{\{request\}\}"`)
			server.next(`has the result of command 3 of 3, execute_command: \d+ bytes`)
			server.next(`task .* has ended: completed`)
			desk.next(`echo has ended with 0`)
			desk.stops()
			server.next(`device "desk" has disconnected`)
			if out := server.stops(); !strings.Contains(out, "takes on nothing new") || !strings.Contains(out, "is closed") {
				t.Error(out)
			}
		})
		t.Run("as JSON", func(t *testing.T) {
			server, url := serves(t, start, filePlan, "--json")
			desk := start(t, "device", "--json", "--url", url, "--id", "desk", "--root", root, "--allow", "echo")
			desk.next(`"event":"registered"`)
			out, _ := task(t, start, url, "--json", "hello").ends(exitOK)
			list := events(t, out)
			done := list[len(list)-1]
			if done["event"] != "done" || done["ok"] != true || done["exit_code"] != 0.0 || done["device_id"] != "desk" || done["session_id"] == "" {
				t.Errorf("%v", done)
			}
			result, err := json.Marshal(done["result"])
			if err != nil {
				t.Fatal(err)
			}
			checkResult(t, result, "hello")
			server.next(`"event":"task_ended".*"status":"completed"`)
			for name, out := range map[string]string{"device": desk.stops(), "server": server.stops()} {
				list := events(t, out)
				if done := list[len(list)-1]; done["event"] != "done" || done["ok"] != true {
					t.Errorf("%s: %v", name, done)
				}
			}
		})
	})
}

// checkResult checks the result of a task by filePlan.
func checkResult(t *testing.T, text []byte, request string) {
	t.Helper()
	var rounds []struct {
		Request string
		Result  []struct {
			Status string
			Result map[string]any
		}
	}
	if err := json.Unmarshal(text, &rounds); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if len(rounds) != 3 || rounds[0].Request != request {
		t.Fatalf("%s", text)
	}
	file, first, second := rounds[0].Result[0], rounds[1].Result[0], rounds[2].Result[0]
	if file.Status != "success" || file.Result["content"] != "remember" || file.Result["encoding"] != "utf-8" {
		t.Errorf("the file is %v", file)
	}
	if first.Result["stdout"] != request+" twice: "+request+"\n" || first.Result["exit_code"] != 0.0 || first.Result["success"] != true {
		t.Errorf("the first program brought %v", first)
	}
	if second.Result["stdout"] != "as one text\n" {
		t.Errorf("the second program brought %v", second)
	}
}

// TestPartsComeBack: a device that is started anew, after an interrupt or a
// crash, and a server that is, while the device waits for it.
func TestPartsComeBack(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		server, url := serves(t, start, "")
		desk := device(t, start, url, "--allow", "echo")
		works := func() {
			t.Helper()
			if out, _ := task(t, start, url, "hello").ends(exitOK); !strings.Contains(out, `"end: hello\n"`) {
				t.Error(out)
			}
		}
		works()
		desk.stops()
		server.next(`device "desk" has disconnected`)
		task(t, start, url, "hello").ends(exitRefused)
		desk = device(t, start, url, "--allow", "echo")
		works()
		if desk.kill != nil {
			desk.kill()
			server.next(`device "desk" has lost its connection`)
			desk = device(t, start, url, "--allow", "echo")
			works()
		}

		server.stops()
		desk.next(`is disconnected|has lost its connection`)
		desk.next(`tries again in`)
		server = start(t, "serve", "--addr", address(url))
		server.next(`device "desk" has registered`)
		desk.next(`is registered`)
		works()
		desk.stops()
		server.stops()
	})
}

// slowPlan runs a program that reads a named pipe, to its end.
const slowPlan = `commands: [{tool: execute_command, parameters: {argv: [cat, pipe]}}]`

// pipe makes a directory with a named pipe.
func pipe(t *testing.T) (root, path string) {
	t.Helper()
	root = t.TempDir()
	path = filepath.Join(root, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return root, path
}

// TestPartsWithSlowTask: what ends while a program runs, and how.
func TestPartsWithSlowTask(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		root, path := pipe(t)
		begin := func(t *testing.T, serveArgs ...string) (server, desk, job *part, url string) {
			t.Helper()
			server, url = serves(t, start, slowPlan, serveArgs...)
			desk = device(t, start, url, "--root", root, "--allow", "cat")
			job = task(t, start, url, "--json", "read")
			desk.next(`runs cat`)
			return server, desk, job, url
		}
		t.Run("timeout of the task", func(t *testing.T) {
			server, url := serves(t, start, slowPlan)
			desk := device(t, start, url, "--root", root, "--allow", "cat")
			_, stderr := task(t, start, url, "--timeout", "3s", "read").ends(exitTimeout)
			if !strings.Contains(stderr, "in time") {
				t.Error(stderr)
			}
			desk.next(`cat was ended: `)
			server.next(`task .* has ended: failed: .*disconnected`)
			desk.stops()
			server.stops()
		})
		t.Run("timeout of the command", func(t *testing.T) {
			server, url := serves(t, start, slowPlan)
			desk := device(t, start, url, "--root", root, "--allow", "cat", "--command-timeout", "100ms")
			out, stderr := task(t, start, url, "read").ends(exitFailed)
			if !strings.Contains(stderr, "did not return in time") || !strings.Contains(out, `"failure"`) {
				t.Error(out, stderr)
			}
			desk.next(`cat was ended: `)
			desk.stops()
			server.stops()
		})
		t.Run("task interrupted", func(t *testing.T) {
			server, desk, job, _ := begin(t)
			job.interrupt()
			out, _ := job.ends(exitInterrupted)
			if !strings.Contains(out, `"ok":false`) || !strings.Contains(out, `"exit_code":130`) {
				t.Error(out)
			}
			desk.next(`cat was ended: `)
			desk.stops()
			server.stops()
		})
		t.Run("device interrupted", func(t *testing.T) {
			server, desk, job, _ := begin(t)
			out := desk.stops()
			if !strings.Contains(out, "cat was ended: ") {
				t.Error(out)
			}
			job.ends(exitFailed)
			server.stops()
		})
		t.Run("server interrupted", func(t *testing.T) {
			server, desk, job, url := begin(t)
			server.interrupt()
			server.next(`takes on nothing new`)
			task(t, start, url, "read").ends(exitLost)
			if err := os.WriteFile(path, []byte("at last"), 0); err != nil {
				t.Error(err)
			}
			if out, _ := job.ends(exitOK); !strings.Contains(out, "at last") {
				t.Error(out)
			}
			server.ends(exitOK)
			desk.stops()
		})
		t.Run("server interrupted twice", func(t *testing.T) {
			server, desk, job, _ := begin(t)
			server.interrupt()
			server.next(`takes on nothing new`)
			server.interrupt()
			if _, stderr := server.ends(exitInterrupted); !strings.Contains(stderr, "cut off") {
				t.Error(stderr)
			}
			job.ends(exitFailed)
			desk.stops()
		})
		t.Run("server out of time", func(t *testing.T) {
			server, desk, job, _ := begin(t, "--drain", "50ms")
			server.interrupt()
			if _, stderr := server.ends(exitFailed); !strings.Contains(stderr, "the time to end was over") {
				t.Error(stderr)
			}
			job.ends(exitFailed)
			desk.stops()
		})
	})
}

// TestPartsWithKilledServer: a server that crashes in the middle of a task is
// not waited for once the next one is there.
func TestPartsWithKilledServer(t *testing.T) {
	t.Setenv(tokenVariable, testToken)
	start := build(t)
	root, _ := pipe(t)
	server, url := serves(t, start, slowPlan)
	desk := device(t, start, url, "--root", root, "--allow", "cat")
	job := task(t, start, url, "--json", "read")
	desk.next(`runs cat`)
	server.kill()
	server.wait()
	job.next(`"event":"disconnected"`)
	server = start(t, "serve", "--addr", address(url))
	out, _ := job.ends(exitLost)
	if !regexp.MustCompile(`"done","ok":false,.*"exit_code":4`).MatchString(out) {
		t.Error(out)
	}
	desk.next(`is registered`)
	desk.stops()
	server.stops()
}

// address returns what a server with that URL listens on.
func address(url string) string { return strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/ws") }
