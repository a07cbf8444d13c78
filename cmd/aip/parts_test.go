//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const testToken = "correct-horse-battery"

// patience is how long a part of a test may take before it is ended, which
// fails the test.
const patience = 2 * time.Minute

// part is a command line that runs: here, or as a process.
type part struct {
	t         *testing.T
	args      string
	lines     chan string
	interrupt func()
	kill      func() // nil here
	wait      func() (code int, stderr string)
	seen      []string
}

// starter starts a command line.
type starter func(t *testing.T, args ...string) *part

// build builds the program and returns what starts it.
func build(t *testing.T) starter {
	t.Helper()
	program := filepath.Join(t.TempDir(), "aip")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(t *testing.T, args ...string) *part {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		command := exec.CommandContext(ctx, program, args...)
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		command.Stderr = &stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		p := newPart(t, out, args)
		send := func(signal os.Signal) func() {
			return func() {
				if err := command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
					t.Error(err)
				}
			}
		}
		p.interrupt, p.kill = send(os.Interrupt), send(syscall.SIGKILL)
		p.wait = sync.OnceValues(func() (int, string) {
			defer cancel()
			p.rest()
			var exit *exec.ExitError
			if err := command.Wait(); err != nil && !errors.As(err, &exit) {
				t.Error(err)
			}
			return command.ProcessState.ExitCode(), stderr.String()
		})
		t.Cleanup(func() {
			p.kill()
			p.wait()
		})
		return p
	}
}

// here runs a command line in this process.
func here(t *testing.T, args ...string) *part {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	again := make(chan struct{})
	out, in := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, streams{in: strings.NewReader(""), out: in, err: &stderr, again: again})
		_ = in.Close()
	}()
	p := newPart(t, out, args)
	p.interrupt = func() {
		if ctx.Err() != nil {
			close(again)
		}
		cancel()
	}
	p.wait = sync.OnceValues(func() (int, string) {
		p.rest()
		return <-code, stderr.String()
	})
	t.Cleanup(func() {
		cancel()
		p.wait()
	})
	return p
}

func newPart(t *testing.T, out io.Reader, args []string) *part {
	p := &part{t: t, args: strings.Join(args, " "), lines: make(chan string, 10_000)}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewReader(out); ; {
			line, err := scanner.ReadString('\n')
			if line != "" {
				p.lines <- line
			}
			if err != nil {
				return
			}
		}
	}()
	return p
}

// next waits for a line that matches, and returns what its groups matched.
func (p *part) next(pattern string) []string {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	for line := range p.lines {
		p.seen = append(p.seen, line)
		if found := expression.FindStringSubmatch(line); found != nil {
			return found
		}
	}
	code, stderr := p.wait()
	p.t.Fatalf("%s ended with %d and %q, without a line %s:\n%s", p.args, code, stderr, pattern, strings.Join(p.seen, ""))
	return nil
}

// rest reads to the end.
func (p *part) rest() {
	for line := range p.lines {
		p.seen = append(p.seen, line)
	}
}

// ends waits for the end, and returns all that was printed.
func (p *part) ends(want int) (out, stderr string) {
	p.t.Helper()
	code, stderr := p.wait()
	out = strings.Join(p.seen, "")
	if code != want {
		p.t.Errorf("%s ended with %d, not %d, and %q:\n%s", p.args, code, want, stderr, out)
	}
	if out != "" && !strings.HasSuffix(out, "\n") {
		p.t.Errorf("%s: the last line does not end: %q", p.args, out)
	}
	if strings.Contains(out+stderr, testToken) {
		p.t.Errorf("%s shows the token:\n%s%s", p.args, out, stderr)
	}
	if strings.Count(stderr, "\n") > 1 {
		p.t.Errorf("%s says more than a line: %s", p.args, stderr)
	}
	return out, stderr
}

// stops interrupts, and expects an end in order.
func (p *part) stops() string {
	p.t.Helper()
	p.interrupt()
	out, _ := p.ends(exitOK)
	return out
}

// tempFile writes a file into a directory of its own.
func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serves starts a server with a plan and returns its URL.
func serves(t *testing.T, start starter, plan string, args ...string) (*part, string) {
	t.Helper()
	args = append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)
	if plan != "" {
		args = append(args, "--plan", tempFile(t, "plan.yaml", plan))
	}
	server := start(t, args...)
	return server, server.next(`(ws://127\.0\.0\.1:\d+/ws)`)[1]
}

// device starts a device and waits until it is registered.
func device(t *testing.T, start starter, url string, args ...string) *part {
	t.Helper()
	p := start(t, append([]string{"device", "--url", url, "--id", "desk"}, args...)...)
	p.next(`is registered`)
	return p
}

func task(t *testing.T, start starter, url string, args ...string) *part {
	t.Helper()
	return start(t, append([]string{"task", "--url", url, "--device", "desk"}, args...)...)
}
