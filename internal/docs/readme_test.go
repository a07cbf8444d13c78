package docs

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadmePrograms builds the README's first programs as a user would, and
// runs them together.
func TestReadmePrograms(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	address := freeAddress(t)
	bin := buildReadme(t, ctx, address)

	server := start(t, ctx, filepath.Join(bin, "server"))
	until(t, ctx, "the server does not listen", func() error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	device := start(t, ctx, filepath.Join(bin, "device"))
	var output []byte
	until(t, ctx, "the constellation does not succeed", func() (err error) {
		output, err = exec.CommandContext(ctx, filepath.Join(bin, "constellation")).Output()
		return err
	})
	if !bytes.Contains(output, []byte(`"result":"Hello, World!"`)) {
		t.Errorf("the constellation prints %s", output)
	}

	if err := device.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := device.Wait(); err != nil {
		t.Errorf("the interrupted device ends with %v", err)
	}
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait() // It was killed.
}

// freeAddress returns an address on the loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// buildReadme builds the three programs, with their server at the address, and
// returns the directory that they are in.
func buildReadme(t *testing.T, ctx context.Context, address string) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	snippets, err := Extract(string(text))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"server", "device", "constellation"}
	if len(snippets) != len(names) {
		t.Fatalf("README.md has %d Go snippets, and not one for each of %v", len(snippets), names)
	}
	dir := t.TempDir()
	if err := userModule(root, dir); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		const readme = "127.0.0.1:5000"
		if !strings.Contains(snippets[i].Text, "func main()") || !strings.Contains(snippets[i].Text, readme) {
			t.Fatalf("the %s is not a program for %s", name, readme)
		}
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		program := strings.ReplaceAll(snippets[i].Text, readme, address)
		if err := os.WriteFile(filepath.Join(dir, name, "main.go"), []byte(program), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	bin := filepath.Join(dir, "bin") + string(filepath.Separator)
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", bin, "./...")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	return bin
}

// start starts a program, which ends with the test at the latest.
func start(t *testing.T, ctx context.Context, path string) *exec.Cmd {
	t.Helper()
	program := exec.CommandContext(ctx, path)
	program.Stderr = t.Output()
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if program.ProcessState == nil {
			_ = program.Process.Kill()
			_ = program.Wait()
		}
	})
	return program
}

// until tries again and again, until there is no error or the context ends.
func until(t *testing.T, ctx context.Context, otherwise string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(fmt.Errorf("%s: %w", otherwise, err))
		}
	}
}
