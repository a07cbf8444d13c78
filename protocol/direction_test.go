package protocol

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongDirectionDoesNotCompile builds two packages with the go command:
// one of which every function compiles, and one of which none does.
func TestWrongDirectionDoesNotCompile(t *testing.T) {
	right := []string{
		`client.Send(ctx, &messages.ClientMessage{})`,
		`server.Send(ctx, &messages.ServerMessage{})`,
		`client.Call(ctx, messages.NewDeviceHeartbeat("d"), protocol.MatchHeartbeat())`,
		`var m *messages.ServerMessage; m, _ = client.Receive(ctx); _ = m`,
	}
	wrong := []string{
		`client.Send(ctx, &messages.ServerMessage{})`,
		`server.Send(ctx, &messages.ClientMessage{})`,
		`client.Call(ctx, messages.NewDeviceHeartbeat("d"), protocol.MatchTask(nil))`,
		`var m *messages.ClientMessage; m, _ = client.Receive(ctx); _ = m`,
		`protocol.AwaitRegistration(ctx, client)`,
		`protocol.Register(ctx, server, nil)`,
		`protocol.New[int, string](nil, nil)`,
	}
	if out, err := compile(t, right); err != nil {
		t.Errorf("the right direction: %v\n%s", err, out)
	}
	out, err := compile(t, wrong)
	if err == nil {
		t.Fatal("the wrong direction compiles")
	}
	for i, line := range wrong {
		if !strings.Contains(out, fmt.Sprintf("lines.go:%d:", i+firstLine)) {
			t.Errorf("compiles: %s", line)
		}
	}
}

const firstLine = 13

// compile builds a package with one function for each line.
func compile(t *testing.T, lines []string) (output string, err error) {
	source := `package direction

import (
	"context"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
)

var _ = messages.StatusOK
var _ = protocol.ErrReading

`
	for _, line := range lines {
		source += "func _(ctx context.Context, client *protocol.Client, server *protocol.Server) { " + line + " }\n"
	}
	wd, err := os.Getwd()
	must(t, err)
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "lines.go"), filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(file, []byte(source), 0o600))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(wd, "testdata", "direction", "lines.go"): file,
	}})
	must(t, err)
	must(t, os.WriteFile(overlay, replace, 0o600))
	out, err := exec.Command("go", "build", "-gcflags=-e", "-overlay", overlay, "./testdata/direction").CombinedOutput()
	return string(out), err
}
