// Package endpoint has the three roles of AIP, each owning its connections: a
// [Server] accepts devices and constellations and runs tasks, a [Device] runs
// the commands of those tasks, and a [Constellation] gives tasks to devices.
//
// # Server
//
// A [Server] is an [net/http.Handler] for WebSockets; [Server.Serve] serves
// any other transport. It calls a [TaskHandler] for each task:
//
//	server, err := endpoint.NewServer(&endpoint.ServerOptions{
//		Handler: func(ctx context.Context, task *endpoint.Task) (any, error) {
//			results, err := task.Do(ctx, messages.Command{
//				ToolName: "execute_command", ToolType: messages.ToolAction,
//			})
//			return results, err
//		},
//	})
//	http.Handle("/ws", server)
//
// What a client says it is, counts once: at its registration. From then on
// its id and its role belong to the connection, and a message that claims
// others is refused. A task belongs to the client that asked for it, and only
// the device that runs it can answer its commands.
//
// Every task that a client asks for by a session id ends with exactly one
// task_end for the client, whatever happens: a result, a refusal, the loss of
// the device, the end of the server. The device is told as well.
//
// # Device and constellation
//
// [Device.Run] connects, registers and serves commands until its context or
// the connection ends. It does not connect again by itself: call it again.
// [Constellation.Connect] does the same for one connection per device, and
// [Constellation.Run] gives a task to a device and waits for its end.
//
// All three take their connections from a function, so that they run over any
// transport. The default is package
// [github.com/aip-go/aip/transport/websocket].
package endpoint
