package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport/websocket"
)

// TypedService answers messages, as AIP's messages or as mere bytes.
const TypedService = "protocol"

// Call makes one call and waits for its answer.
type Call func() error

// errClosed is why a connection is aborted: the measurement is over.
var errClosed = errors.New("bench: closed")

func typedHandler() (http.Handler, func() error, error) {
	u := newUpgrades()
	mux := http.NewServeMux()
	serve := func(path string, serve func(context.Context, *websocket.Transport) error) {
		mux.Handle(path, u.handle(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			t, err := websocket.Accept(w, r, nil)
			if err != nil {
				return err
			}
			defer t.Abort(errClosed)
			return serve(ctx, t)
		}))
	}
	serve("/bytes", serveBytes)
	serve("/server", serveHeartbeats)
	serve("/device", serveCommands)
	return mux, u.end, nil
}

// serveBytes answers every message with the first one.
func serveBytes(ctx context.Context, t *websocket.Transport) error {
	answer, err := t.Receive(ctx)
	if err != nil {
		return err
	}
	for {
		if _, err := t.Receive(ctx); err != nil {
			return err
		}
		if err := t.Send(ctx, answer); err != nil {
			return err
		}
	}
}

// serveHeartbeats is a server that answers heartbeats.
func serveHeartbeats(ctx context.Context, t *websocket.Transport) error {
	s, err := protocol.NewServer(t, nil)
	if err != nil {
		return err
	}
	s.Handle(messages.ClientHeartbeat, func(ctx context.Context, _ *messages.ClientMessage) error {
		return protocol.AnswerHeartbeat(ctx, s)
	})
	return s.Run(ctx)
}

// serveCommands is a device whose tools return their parameters.
func serveCommands(ctx context.Context, t *websocket.Transport) error {
	c, err := protocol.NewClient(t, nil)
	if err != nil {
		return err
	}
	c.SetIdentity(protocol.Identity{ClientID: typedDevice, ClientType: messages.Device})
	c.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
		return protocol.NewCommandAnswer(c, m).Send(ctx, resultsOf(m))
	})
	return c.Run(ctx)
}

func resultsOf(command *messages.ServerMessage) []messages.Result {
	results := make([]messages.Result, len(command.Actions))
	for i, action := range command.Actions {
		results[i] = messages.Result{Status: messages.ResultSuccess, Result: action.Parameters, CallID: action.CallID}
	}
	return results
}

const typedDevice = "device-0001"

// parameters are those of the commands.
var parameters = messages.TrustedValue([]byte(`{"text":"find the largest files under /var/log and summarise them"}`))

// typedCommand is the command that is measured.
func typedCommand() *messages.ServerMessage {
	return messages.NewCommand(messages.CommandRequest{
		SessionID: "5e9d3b7a-1f2c-4d3e-8a9b-0c1d2e3f4a5b",
		TaskName:  "disk-usage-report",
		AgentName: "LinuxAgent",
		Actions:   []messages.Command{{ToolName: "echo", ToolType: messages.ToolAction, Parameters: parameters}},
	})
}

// OpenHeartbeats returns a client's heartbeat as a call, which only one caller
// at a time may make, and what ends the connection.
func OpenHeartbeats(ctx context.Context, addr string) (Call, func() error, error) {
	t, err := dial(ctx, addr, "/server")
	if err != nil {
		return nil, nil, err
	}
	c, err := protocol.NewClient(t, nil)
	if err != nil {
		return nil, nil, errors.Join(err, t.Close())
	}
	c.SetIdentity(protocol.Identity{ClientID: typedDevice, ClientType: messages.Device})
	end := run(t, c.Run)
	return func() error {
		_, err := protocol.Beat(ctx, c)
		return err
	}, end, nil
}

// OpenCommands returns a server's command as a call, for any number of callers.
func OpenCommands(ctx context.Context, addr string) (Call, func() error, error) {
	t, err := dial(ctx, addr, "/device")
	if err != nil {
		return nil, nil, err
	}
	s, err := protocol.NewServer(t, nil)
	if err != nil {
		return nil, nil, errors.Join(err, t.Close())
	}
	end := run(t, s.Run)
	return func() error {
		_, err := protocol.SendCommand(ctx, s, typedCommand())
		return err
	}, end, nil
}

// run runs one end of the protocol, and returns what ends it.
func run(t *websocket.Transport, run func(context.Context) error) func() error {
	ended := make(chan error, 1)
	go func() { ended <- run(context.Background()) }()
	return func() error {
		t.Abort(errClosed)
		err := t.Close()
		<-ended // the connection was closed
		return err
	}
}

// HeartbeatBytes returns a heartbeat and its answer, as OpenHeartbeats has them.
func HeartbeatBytes() (message, answer []byte, err error) {
	return encoded(messages.NewDeviceHeartbeat(typedDevice), messages.NewHeartbeatReply())
}

// CommandBytes returns a command and its answer, as OpenCommands has them.
func CommandBytes() (message, answer []byte, err error) {
	command := typedCommand()
	return encoded(command, messages.NewCommandResults(typedDevice, command, resultsOf(command)))
}

func encoded(message, answer any) (_, _ []byte, err error) {
	first, err := codec.JSON{}.Append(nil, message)
	if err != nil {
		return nil, nil, err
	}
	second, err := codec.JSON{}.Append(nil, answer)
	return first, second, err
}

// OpenBytes returns the exchange of mere bytes as a call: for one caller it
// receives its answer itself; several have a goroutine that receives.
func OpenBytes(ctx context.Context, addr string, message, answer []byte, callers int) (Call, func() error, error) {
	t, err := dial(ctx, addr, "/bytes")
	if err != nil {
		return nil, nil, err
	}
	if err := t.Send(ctx, answer); err != nil {
		return nil, nil, errors.Join(err, t.Close())
	}
	receive := func(ctx context.Context) error {
		got, err := t.Receive(ctx)
		if err == nil && len(got) != len(answer) {
			err = fmt.Errorf("an answer of %d bytes came, of %d", len(got), len(answer))
		}
		return err
	}
	if callers == 1 {
		return func() error {
				if err := t.Send(ctx, message); err != nil {
					return err
				}
				return receive(ctx)
			}, func() error {
				t.Abort(errClosed)
				return t.Close()
			}, nil
	}
	answers := make(chan struct{}, callers)
	end := run(t, func(ctx context.Context) error {
		defer close(answers)
		for {
			if err := receive(ctx); err != nil {
				return err
			}
			answers <- struct{}{}
		}
	})
	return func() error {
		if err := t.Send(ctx, message); err != nil {
			return err
		}
		if _, ok := <-answers; !ok {
			return errors.New("the connection ended early")
		}
		return nil
	}, end, nil
}

// dial connects to a service.
func dial(ctx context.Context, addr, path string) (*websocket.Transport, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	t := websocket.New(nil)
	return t, t.Connect(ctx, "ws://"+addr+path)
}
