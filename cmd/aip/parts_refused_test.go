//go:build unix

package main

import (
	"net"
	"os"
	"strings"
	"testing"
)

// TestPartsRefused: each way not to get in has its exit code, one line that
// says why, and nothing of the token in it.
func TestPartsRefused(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		server, url := serves(t, start, "")
		desk := device(t, start, url, "--allow", "echo")
		const secret = "wrong-token-of-mine"
		for _, args := range [][]string{
			{"task", "--url", url, "--device", "desk", "--token", secret, "hello"},
			{"task", "--url", url, "--device", "desk", "--json", "--token", secret, "hello"},
			{"task", "--url", url + "?token=" + secret, "--device", "desk", "hello"},
			{"device", "--url", url, "--id", "other", "--token", secret},
			{"device", "--url", url + "?token=" + secret, "--id", "other", "--json"},
		} {
			out, stderr := start(t, args...).ends(exitForbidden)
			if !strings.Contains(stderr, "403") || strings.Contains(out+stderr, secret) {
				t.Errorf("%v: %s%s", args, out, stderr)
			}
			server.next(`turns a connection away: .*token`)
		}
		t.Run("unknown device", func(t *testing.T) {
			out, stderr := start(t, "task", "--url", url, "--device", "nobody", "hello").ends(exitRefused)
			if out != "" || !strings.Contains(stderr, "'nobody' is not connected") {
				t.Error(out, stderr)
			}
			out, _ = start(t, "task", "--url", url, "--device", "nobody", "--json", "hello").ends(exitRefused)
			if done := events(t, out); done[len(done)-1]["exit_code"] != 3.0 || done[len(done)-1]["ok"] != false {
				t.Error(out)
			}
		})
		t.Run("no server", func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			free := "ws://" + listener.Addr().String() + "/ws"
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
			start(t, "task", "--url", free, "--device", "desk", "hello").ends(exitLost)
			waiting := start(t, "device", "--url", free, "--id", "desk")
			waiting.next(`cannot connect`)
			waiting.next(`tries again in`)
			waiting.stops()
		})
		t.Run("no such path", func(t *testing.T) {
			start(t, "task", "--url", url+"/more", "--device", "desk", "hello").ends(exitLost)
			start(t, "device", "--url", url+"/more", "--id", "desk").ends(exitLost)
		})
		t.Run("second device of that id", func(t *testing.T) {
			second := start(t, "device", "--url", url, "--id", "desk")
			second.next(`already registered`)
			second.next(`tries again in`)
			second.stops()
		})
		t.Run("address in use", func(t *testing.T) {
			if out, stderr := start(t, "serve", "--addr", address(url)).ends(exitFailed); out != "" || !strings.Contains(stderr, "address already in use") {
				t.Error(out, stderr)
			}
		})
		t.Run("long request", func(t *testing.T) {
			if _, stderr := task(t, start, url, strings.Repeat("x", maxRequestSize+1)).ends(exitFailed); !strings.Contains(stderr, "the request is longer than 65536 bytes") {
				t.Error(stderr)
			}
		})
		desk.stops()
		server.stops()
	})
}

// TestPartsRefuseCommands: what a device does not do makes the task fail, and
// says why; what comes after it is not sent.
func TestPartsRefuseCommands(t *testing.T) {
	t.Setenv(tokenVariable, testToken)
	root := t.TempDir()
	for request, want := range map[string]string{
		`tool: execute_command, parameters: {argv: [id]}`:                         `the program "id" is not allowed`,
		`tool: execute_command, parameters: {argv: [/bin/echo]}`:                  `the program "/bin/echo" is not allowed`,
		`tool: execute_command, parameters: {command: "id"}`:                      `the program "id" is not allowed`,
		`tool: execute_command, parameters: {command: "echo a; id"}`:              `there is no shell for the ';'`,
		`tool: execute_command, parameters: {command: a, argv: [echo]}`:           `either argv or command`,
		`tool: execute_command, parameters: {argv: [echo], cwd: /}`:               `unknown field`,
		`tool: execute_command, parameters: {argv: ["echo", "a\0b"]}`:             `cannot be started`,
		`tool: execute_command`:                                                   `either argv or command`,
		`tool: read_file, type: data_collection, parameters: {path: ../secret}`:   `path escapes from parent`,
		`tool: read_file, type: data_collection, parameters: {path: /etc/passwd}`: `path escapes from parent`,
		`tool: read_file, parameters: {path: a}`:                                  `there is no action tool "read_file"`,
		`tool: "bad\u001b[31mname\n"`:                                             `there is no action tool`,
	} {
		server, url := serves(t, here, "commands: [{"+request+"}, {tool: execute_command, parameters: {argv: [echo, further]}}]")
		desk := device(t, here, url, "--root", root, "--allow", "echo")
		out, stderr := task(t, here, url, "hello").ends(exitFailed)
		if !strings.Contains(stderr, want) || !strings.Contains(out, `"failure"`) || strings.Contains(out, "further") {
			t.Errorf("%s: %s\n%s", request, stderr, out)
		}
		printed := stderr + desk.stops() + server.stops()
		if strings.Contains(printed, "\x1b") {
			t.Errorf("%s: what others say reaches the terminal: %q", request, printed)
		}
	}
}

// TestPartsWithOutputBomb: a program that does not stop writing is ended.
func TestPartsWithOutputBomb(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		server, url := serves(t, start, `commands: [{tool: execute_command, parameters: {argv: ["yes", "{{request}}"]}}]`)
		desk := device(t, start, url, "--allow", "yes")
		out, _ := task(t, start, url, "more").ends(exitOK)
		if !strings.Contains(out, `"truncated": true`) || !strings.Contains(out, `"exit_code": -1`) || strings.Count(out, "more") < maxOutput/5-1 || len(out) > 2*maxOutput {
			t.Errorf("%d bytes: %.200s", len(out), out)
		}
		desk.next(`yes was ended: the program wrote too much`)
		desk.stops()
		server.stops()
	})
}

// TestPartsProgramSignals: what the device does with signals is not passed on to
// its programs.
func TestPartsProgramSignals(t *testing.T) {
	both(t, func(t *testing.T, start starter) {
		server, url := serves(t, start, `commands: [{tool: execute_command, parameters: {argv: [sh, -c, 'kill -$0 $$; exit 3', "{{request}}"]}}]`)
		desk := device(t, start, url, "--allow", "sh")
		for _, signal := range []string{"PIPE", "INT", "TERM", "HUP"} {
			if out, _ := task(t, start, url, signal).ends(exitOK); !strings.Contains(out, `"exit_code": -1`) {
				t.Errorf("%s: %s", signal, out)
			}
		}
		desk.stops()
		server.stops()
	})
}

// TestPartsWithoutReader: who cannot print any more ends.
func TestPartsWithoutReader(t *testing.T) {
	t.Setenv(tokenVariable, testToken)
	var stderr strings.Builder
	if code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0"}, streams{out: full{}, err: &stderr}); code != exitFailed || stderr.Len() == 0 {
		t.Errorf("serve: %d, %s", code, stderr.String())
	}
	server, url := serves(t, here, "")
	stderr.Reset()
	if code := run(t.Context(), []string{"device", "--url", url, "--id", "mute"}, streams{out: full{}, err: &stderr}); code != exitFailed || stderr.Len() == 0 {
		t.Errorf("device: %d, %s", code, stderr.String())
	}
	desk := device(t, here, url, "--allow", "echo")
	for _, args := range [][]string{{"hello"}, {"--json", "hello"}} {
		stderr.Reset()
		if code := run(t.Context(), append([]string{"task", "--url", url, "--device", "desk"}, args...), streams{out: full{}, err: &stderr}); code != exitFailed || stderr.Len() == 0 {
			t.Errorf("task: %d, %s", code, stderr.String())
		}
	}
	desk.stops()
	server.stops()
}

// TestPartsUsage: wrong usage is said, with the exit code for it, and help shows
// no token.
func TestPartsUsage(t *testing.T) {
	t.Setenv(tokenVariable, testToken)
	root := tempFile(t, "file", "")
	const url = "ws://127.0.0.1:1/ws"
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"serve plan missing":     {[]string{"serve", "--plan", "no/such/file"}, exitFailed, "no/such/file"},
		"serve plan wrong":       {[]string{"serve", "--plan", root}, exitFailed, "it is empty"},
		"serve argument":         {[]string{"serve", "now"}, exitUsage, "unexpected argument"},
		"serve drain":            {[]string{"serve", "--drain", "0s"}, exitUsage, "--drain has to be positive"},
		"serve address":          {[]string{"serve", "--addr", "nonsense"}, exitFailed, "address"},
		"device nothing":         {[]string{"device"}, exitUsage, "--url is needed"},
		"device URL":             {[]string{"device", "--url", "http://h/ws", "--id", "d"}, exitUsage, "--url is needed"},
		"device secret URL":      {[]string{"device", "--url", "ws://h:" + testToken + "/ws", "--id", "d"}, exitUsage, "--url is needed"},
		"device no id":           {[]string{"device", "--url", url}, exitUsage, "--id is needed"},
		"device root":            {[]string{"device", "--url", url, "--id", "d", "--root", "no/such/dir"}, exitFailed, "no/such/dir"},
		"device root file":       {[]string{"device", "--url", url, "--id", "d", "--root", root}, exitFailed, "not a directory"},
		"device program":         {[]string{"device", "--url", url, "--id", "d", "--allow", "no-such-program"}, exitUsage, "no such program"},
		"device command timeout": {[]string{"device", "--url", url, "--id", "d", "--command-timeout", "-1s"}, exitUsage, "--command-timeout has to be positive"},
		"task nothing":           {[]string{"task"}, exitUsage, "--url is needed"},
		"task no device":         {[]string{"task", "--url", url, "hello"}, exitUsage, "--device is needed"},
		"task no request":        {[]string{"task", "--url", url, "--device", "d"}, exitUsage, "a request is needed"},
		"task two requests":      {[]string{"task", "--url", url, "--device", "d", "a", "b"}, exitUsage, "unexpected argument"},
		"task timeout":           {[]string{"task", "--url", url, "--device", "d", "--timeout", "0s", "a"}, exitUsage, "--timeout has to be positive"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := aip(t, nil, test.args...)
			if code != test.code || out != "" || !strings.Contains(stderr, test.want) || strings.Contains(stderr, testToken) {
				t.Errorf("exit code %d: %s%s", code, out, stderr)
			}
		})
	}
	if err := os.Unsetenv(tokenVariable); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := aip(t, nil, "serve"); code != exitUsage || !strings.Contains(stderr, "a token is needed") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	t.Setenv(tokenVariable, testToken)
	for _, name := range []string{"serve", "device", "task"} {
		if code, out, _ := aip(t, nil, name, "--help"); code != exitOK || !strings.Contains(out, "exit codes:") || !strings.Contains(out, "AIP_TOKEN") || strings.Contains(out, testToken) {
			t.Errorf("%s --help: exit code %d: %s", name, code, out)
		}
	}
}
