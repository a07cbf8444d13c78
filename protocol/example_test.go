package protocol_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// connect returns both ends of a connection in memory. A program has one of
// them, on a transport of its own.
func connect() (*protocol.Client, *protocol.Server) {
	a, b := transport.NewPair(nil)
	client, err := protocol.NewClient(a, nil)
	if err != nil {
		log.Fatal(err)
	}
	server, err := protocol.NewServer(b, nil)
	if err != nil {
		log.Fatal(err)
	}
	return client, server
}

// run runs p and returns a function that closes it and waits for its end.
func run[Out, In protocol.Message](p *protocol.AIPProtocol[Out, In]) (stop func()) {
	done := make(chan error, 1)
	go func() { done <- p.Run(context.Background()) }()
	return func() {
		if err := errors.Join(p.Close(), <-done); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	ctx := context.Background()
	client, server := connect()
	defer client.Close()

	if err := client.Send(ctx, messages.NewDeviceHeartbeat("device-1")); err != nil {
		log.Fatal(err)
	}
	m, err := server.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(m.Type, m.ClientID)
	// Output: heartbeat device-1
}

func ExampleAIPProtocol_Handle() {
	client, server := connect()
	done := make(chan struct{})

	client.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
		fmt.Println("first:", m.SessionID)
		return errors.New("disk full")
	})
	client.Handle(messages.ServerTaskEnd, func(_ context.Context, m *messages.ServerMessage) error {
		fmt.Println("second:", m.Status)
		close(done)
		return nil
	})
	client.OnError(func(_ context.Context, m *messages.ServerMessage, err error) {
		fmt.Println("failed:", m.Type, err)
	})

	stop := run(client)
	if err := protocol.CompleteTask(context.Background(), server, "session-1", messages.Value{}); err != nil {
		log.Fatal(err)
	}
	<-done
	stop()
	// Output:
	// first: session-1
	// failed: task_end disk full
	// second: completed
}

func ExampleAIPProtocol_Call() {
	client, server := connect()
	server.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
		info, err := messages.NewValue(map[string]string{"hostname": "lab-7"})
		if err != nil {
			return err
		}
		return protocol.AnswerDeviceInfo(ctx, server, m, info)
	})
	defer run(server)()
	defer run(client)()

	request := messages.NewDeviceInfoRequest("galaxy@device-1", "device-1")
	reply, err := client.Call(context.Background(), request, protocol.MatchDeviceInfo(request.RequestID))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Result)
	// Output: {"hostname":"lab-7"}
}

func ExampleMiddleware() {
	ctx := context.Background()
	client, server := connect()
	defer client.Close()

	name := func(name string) protocol.Middleware[messages.ClientMessage, messages.ServerMessage] {
		return protocol.Middleware[messages.ClientMessage, messages.ServerMessage]{
			Outgoing: func(_ context.Context, m *messages.ClientMessage) (*messages.ClientMessage, error) {
				fmt.Println(name, "sends", m.Type)
				return m, nil
			},
			Incoming: func(_ context.Context, m *messages.ServerMessage) (*messages.ServerMessage, error) {
				fmt.Println(name, "receives", m.Type)
				return m, nil
			},
		}
	}
	client.Use(name("first"), name("second"))

	if err := client.Send(ctx, messages.NewDeviceHeartbeat("device-1")); err != nil {
		log.Fatal(err)
	}
	if err := protocol.AnswerHeartbeat(ctx, server); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Receive(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// first sends heartbeat
	// second sends heartbeat
	// second receives heartbeat
	// first receives heartbeat
}

func ExampleMetricsMiddleware() {
	ctx := context.Background()
	client, server := connect()
	defer client.Close()
	metrics := protocol.NewMetricsMiddleware()
	client.Extend(metrics)

	for range 3 {
		if err := client.Send(ctx, messages.NewDeviceHeartbeat("device-1")); err != nil {
			log.Fatal(err)
		}
	}
	if err := protocol.AnswerHeartbeat(ctx, server); err != nil {
		log.Fatal(err)
	}
	if _, err := client.Receive(ctx); err != nil {
		log.Fatal(err)
	}
	counts := metrics.Snapshot()
	fmt.Println(counts.MessagesSent, counts.MessagesReceived, counts.MessageTypes)
	// Output: 3 1 map[heartbeat:3]
}

func ExampleRegisterDevice() {
	ctx := context.Background()
	client, server := connect()
	defer client.Close()

	go func() {
		registration, err := protocol.AwaitRegistration(ctx, server)
		if err != nil {
			log.Print(err)
			return
		}
		if err := registration.Confirm(ctx); err != nil {
			log.Print(err)
		}
	}()
	if err := protocol.RegisterDevice(ctx, client, "device-1", messages.PlatformLinux, messages.Value{}); err != nil {
		log.Fatal(err)
	}
	who, _ := client.Identity()
	fmt.Println(who.ClientType, who.ClientID)
	// Output: device device-1
}

// A whole task: the constellation's end of one connection, the device's end of
// another, and a server between them.
func ExampleRunTask() {
	ctx := context.Background()
	constellation, toConstellation := connect()
	device, toDevice := connect()
	constellation.SetIdentity(protocol.Identity{ClientID: "galaxy@device-1", ClientType: messages.Constellation, TargetID: "device-1"})
	device.SetIdentity(protocol.Identity{ClientID: "device-1", ClientType: messages.Device})

	device.Handle(messages.ServerCommand, func(ctx context.Context, m *messages.ServerMessage) error {
		results := make([]messages.Result, len(m.Actions))
		for i, action := range m.Actions {
			output, err := messages.NewValue("ran " + action.ToolName)
			if err != nil {
				return err
			}
			results[i] = messages.Result{Status: messages.ResultSuccess, Result: output}
		}
		return protocol.NewCommandAnswer(device, m).Send(ctx, results)
	})
	toConstellation.Handle(messages.ClientTask, func(ctx context.Context, m *messages.ClientMessage) error {
		if err := toConstellation.SendAck(ctx, m.SessionID); err != nil {
			return err
		}
		results, err := protocol.SendCommand(ctx, toDevice, messages.NewCommand(messages.CommandRequest{
			SessionID: m.SessionID,
			AgentName: "LinuxAgent",
			Actions:   []messages.Command{{ToolName: "execute_command", ToolType: messages.ToolAction}},
		}))
		if err != nil {
			return protocol.FailTask(ctx, toConstellation, m.SessionID, "the device failed", messages.Value{})
		}
		return protocol.CompleteTask(ctx, toConstellation, m.SessionID, results[0].Result)
	})
	defer run(constellation)()
	defer run(toConstellation)()
	defer run(toDevice)()
	defer run(device)()

	end, err := protocol.RunTask(ctx, constellation, messages.NewConstellationTask(messages.TaskRequest{
		ClientID: "galaxy@device-1", TargetID: "device-1", Request: "say hello",
	}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(end.Status, end.Result)
	// Output: completed "ran execute_command"
}

// What a peer sends is not always valid. The connection stays open, and the
// peer is told with a short code.
func ExampleAIPProtocol_OnInvalid() {
	ctx := context.Background()
	client, server := connect()
	server.OnInvalid(func(ctx context.Context, e *protocol.MessageError) {
		fmt.Println("server:", e.Code(), e.SessionID)
		if err := server.AnswerInvalid(ctx, e); err != nil {
			log.Print(err)
		}
	})
	defer run(server)()

	if err := client.SendRaw(ctx, []byte(`{"type":"task","session_id":"s1","request":7}`)); err != nil {
		log.Fatal(err)
	}
	m, err := client.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("client:", m.Type, m.Error, m.SessionID)
	// Output:
	// server: invalid_message s1
	// client: error invalid_message s1
}
