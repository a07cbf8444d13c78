package examples

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// roles are the programs for the three roles, which run together.
var roles = []string{"server", "device", "constellation"}

// program is one that runs.
type program struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// launch starts a program with the token.
func launch(t *testing.T, path string, args ...string) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p := &program{t: t, cmd: exec.CommandContext(ctx, path, args...)}
	p.cmd.Env = append(os.Environ(), "AIP_TOKEN=a secret")
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// line returns the next line that the program prints.
func (p *program) line() string {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", p.cmd, err, &p.stderr)
	}
	return strings.TrimSpace(line)
}

// interrupt ends the program, which has to take that well.
func (p *program) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	p.ends()
}

func (p *program) ends() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.cmd, err, &p.stderr)
	}
}

// TestRoles runs the three programs as their users would, one after the other.
func TestRoles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir, "./server", "./device", "./constellation")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := launch(t, filepath.Join(dir, "server"), "127.0.0.1:0")
	address, found := strings.CutPrefix(server.line(), "listening at ")
	if !found {
		t.Fatalf("the server says %q", address)
	}
	url := "ws://" + address + "/ws"
	device := launch(t, filepath.Join(dir, "device"), url, "lamp")
	if line := device.line(); line != "registered as lamp" {
		t.Errorf("the device says %q", line)
	}
	constellation := launch(t, filepath.Join(dir, "constellation"), url, "lamp", "World")
	if line := constellation.line(); line != `"Hello, World!"` {
		t.Errorf("the constellation says %q", line)
	}
	constellation.ends()
	device.interrupt()
	server.interrupt()
}
