package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

const token = "s3cret-token"

// start builds and starts the program and returns where it listens.
func start(t *testing.T) (cmd *exec.Cmd, logged *bytes.Buffer, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	path := filepath.Join(t.TempDir(), "chi")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd, logged = exec.CommandContext(ctx, path, "127.0.0.1:0"), &bytes.Buffer{}
	cmd.Env, cmd.Stderr = append(os.Environ(), "AIP_TOKEN="+token), logged
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening at ")
	if err != nil || !found {
		t.Fatalf("the program says %q, %v", line, err)
	}
	return cmd, logged, address
}

// ask calls the API.
func ask(t *testing.T, method, url, key, body string) (code int, answer map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-API-Key", key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// TestMounted uses the program as its users do: devices over WebSockets, programs
// over the API, and at last an interrupt, during a task, which comes to its end.
func TestMounted(t *testing.T) {
	cmd, logged, address := start(t)
	working, finish := make(chan struct{}), make(chan struct{})
	registered, over := make(chan struct{}, 1), make(chan endpoint.Event, 1)
	device, err := endpoint.NewDevice(&endpoint.DeviceOptions{
		ID: "lamp", URL: "ws://" + address + "/ws", Token: token,
		Reconnect: &endpoint.ReconnectOptions{Off: true},
		Tools: []endpoint.Tool{{Name: "blink", Run: func(context.Context, messages.Value) (any, error) {
			close(working)
			<-finish
			return "blinked", nil
		}}},
		Observer: func(e endpoint.Event) {
			switch e.Kind {
			case endpoint.EventRegistered:
				registered <- struct{}{}
			case endpoint.EventTaskEnded:
				over <- e
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- device.Run(t.Context()) }()
	select {
	case <-registered:
	case err := <-ended:
		t.Fatalf("Run returned %v\n%s", err, logged)
	}

	api := "http://" + address + "/api/"
	code, answer := ask(t, http.MethodGet, api+"health", token, "")
	if want := "map[online_clients:[lamp] status:healthy]"; code != http.StatusOK || fmt.Sprint(answer) != want {
		t.Errorf("health answered %d, %v", code, answer)
	}
	if code, _ := ask(t, http.MethodGet, api+"health", "wrong", ""); code != http.StatusUnauthorized {
		t.Errorf("a wrong key got %d", code)
	}
	code, answer = ask(t, http.MethodPost, api+"dispatch", token, `{"client_id":"lamp","request":"blink","task_name":"one"}`)
	if code != http.StatusOK || answer["status"] != "dispatched" {
		t.Fatalf("dispatch answered %d, %v", code, answer)
	}
	<-working
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for { // Until it has noticed.
		if code, _ := ask(t, http.MethodGet, api+"health", token, ""); code == http.StatusServiceUnavailable {
			break
		}
	}
	if _, answer := ask(t, http.MethodGet, api+"task_result/one", token, ""); answer["status"] != "pending" {
		t.Errorf("the task is %v", answer)
	}
	close(finish)
	if e := <-over; e.Status != messages.StatusCompleted {
		t.Errorf("the task ended with %+v", e)
	}
	if err := <-ended; err == nil {
		t.Error("the device was not sent away")
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v\n%s", err, logged)
	}
	for _, want := range []string{"GET /ws", "GET /api/health 200", "POST /api/dispatch 200"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the access log has no %q:\n%s", want, logged)
		}
	}
	if strings.Contains(logged.String(), token) {
		t.Error("the access log has the token")
	}
}
