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
// [ServerOptions]' Authenticate says on whose behalf a client connects, and
// Authorize what it may do; Limits bounds what it may ask for. Without them all
// clients that know the Token, or just all, are the same.
//
// Every task that a client asks for by a session id ends with exactly one
// task_end for the client, whatever happens: a result, a refusal, the loss of
// the device, the end of the server. The device is told as well.
//
// [Server.Shutdown] ends a server gently: running tasks come to their end, and
// clients are sent away one after the other and told when to come back.
//
// # What comes again
//
// After the loss of a connection or of a server, a client may not know whether
// its last message arrived, and sends it again. A task that is asked for again,
// with the same request_id and the same content, by the same client, is not run
// again while it runs and for two minutes after its end: the client is told of
// the one there is. A command that is sent again, with the same ids and the same
// content, is not run again by a [Device] that has kept its results. As a server
// that runs the same request again sends the same ids ([Task.Do]), a task that
// is cut off in the middle can be asked for again, of the same server or of the
// next one, and what was done of it is not done twice.
//
// # Device and constellation
//
// [Device.Run] connects, registers and serves commands until its context ends.
// [Constellation.Connect] does the same for one connection per device, and
// [Constellation.Run] gives a task to a device and waits for its end. Both
// replace a connection that is lost, and with a server that knows how to, what
// was under way goes on over the next one ([ReconnectOptions]).
//
// All three take their connections from a function, so that they run over any
// transport. The default is package
// [github.com/aip-go/aip/transport/websocket].
package endpoint
