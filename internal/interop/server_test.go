package interop

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// key is the token of the tests; it needs escaping in a URL.
const key = "k/+ &=ä"

// goServer is a server of this SDK, on a real socket.
type goServer struct {
	*endpoint.Server
	events *journal[endpoint.Event]
	// url is its address, with the token; bare without. api is that of its HTTP
	// API.
	url, bare, api string
}

// serve starts a server whose connections have the options ws. It ends with the
// test.
func serve(t *testing.T, options endpoint.ServerOptions, ws websocket.Options) *goServer {
	t.Helper()
	s := &goServer{events: newJournal[endpoint.Event]()}
	options.Token = key
	options.Observer = s.events.add
	options.Accept = func(w http.ResponseWriter, r *http.Request) (transport.Transport, error) {
		accepted, err := websocket.Accept(w, r, &websocket.AcceptOptions{Options: &ws})
		if err != nil {
			return nil, err
		}
		return accepted, nil
	}
	if options.Handler == nil {
		options.Handler = echo
	}
	server, err := endpoint.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = server
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/api/", server.API())
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("Close returned %v", err)
		}
		web.Close()
	})
	s.api = web.URL + "/api"
	s.bare = "ws" + strings.TrimPrefix(web.URL, "http") + "/ws"
	s.url = s.bare + "?token=" + url.QueryEscape(key)
	return s
}

// observes waits for an event.
func (s *goServer) observes(t *testing.T, kind endpoint.EventKind, clientID string) endpoint.Event {
	t.Helper()
	return s.events.await(t, string(kind)+" of "+clientID, func(e endpoint.Event) bool {
		return e.Kind == kind && e.ClientID == clientID
	})
}

// device starts a Python device and waits for its registration.
func (s *goServer) device(t *testing.T, id string, args ...string) *program {
	t.Helper()
	p := start(t, "device", s.deviceArgs(id, args...)...)
	p.happens("registered")
	return p
}

func (s *goServer) deviceArgs(id string, args ...string) []string {
	return append([]string{"--url", s.url, "--id", id}, args...)
}

// constellation starts a Python constellation and waits for its registration.
func (s *goServer) constellation(t *testing.T, name, device string, args ...string) *program {
	t.Helper()
	p := start(t, "constellation", s.constellationArgs(name, device, args...)...)
	p.happens("registered")
	return p
}

func (s *goServer) constellationArgs(name, device string, args ...string) []string {
	return append([]string{"--url", s.url, "--name", name, "--device", device, "--ping-interval", "30", "--heartbeat", "30"}, args...)
}

// command returns an action.
func command(tool string, parameters object) messages.Command {
	value, err := messages.NewValue(parameters)
	if err != nil {
		panic(err)
	}
	return messages.Command{ToolName: tool, ToolType: messages.ToolAction, Parameters: value}
}

// echo is a task that has its request echoed.
func echo(ctx context.Context, task *endpoint.Task) (any, error) {
	_, err := task.Do(ctx, command("execute_command", object{"command": "echo " + task.Request}))
	return nil, err
}

// doing returns a task of one command with the actions.
func doing(actions ...messages.Command) endpoint.TaskHandler {
	return func(ctx context.Context, task *endpoint.Task) (any, error) {
		_, err := task.Do(ctx, actions...)
		return nil, err
	}
}

// ownTask has a device ask for a task of its own.
func ownTask(p *program, request string) {
	p.t.Helper()
	p.do("task", object{"request": request, "task_name": "own"})
}

// results returns the results of a message, command_results or task_end of one
// command.
func results(t *testing.T, m object) []object {
	t.Helper()
	list, ok := m["action_results"].([]any)
	if rounds, is := m["result"].([]any); is && !ok {
		if len(rounds) != 1 {
			t.Fatalf("%d rounds: %v", len(rounds), rounds)
		}
		list, ok = rounds[0].(object)["result"].([]any)
	}
	if !ok {
		t.Fatalf("no results in %v", m)
	}
	var all []object
	for _, r := range list {
		all = append(all, r.(object))
	}
	return all
}
