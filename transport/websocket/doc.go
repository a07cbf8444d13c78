// Package websocket is the WebSocket transport of AIP (RFC 6455).
//
// A [Transport] carries AIP's messages as text messages, and binary ones beside
// them. It is made in one of three ways:
//
//   - [New] and [Transport.Connect] for a client,
//   - [Accept] in the handler of any net/http server,
//   - [Wrap] for a connection that another library opened, found out by
//     [github.com/aip-go/aip/transport/adapters.Detect].
//
// It implements [transport.Transport] and all optional interfaces of that
// package.
//
// # What it does beside the protocol
//
//   - A context bounds the call it is given to, never the connection.
//   - Large messages are sent in fragments of at most 64 KiB, or up to 512 KiB
//     as long as the network takes each in 5 ms, so that pings are answered in
//     between, and can be received as streams. One of more than
//     1 MiB and 64 KiB that is not sent as a stream comes after a pong that says
//     how long it is ("aip.size:" and the bytes, in decimal), unless compression
//     was asked for or the connection was wrapped. Other peers have to ignore
//     that (RFC 6455 section 5.5.3). To this package it is a hint, so that
//     Receive takes the message's size of memory and little more, and not twice
//     as much.
//   - Both sides ping. A connection on which nothing arrives in time is given
//     up, as is one whose peer stops reading ([Options.WriteTimeout]).
//   - One close frame is sent and nothing after it. Close is bounded by
//     [Options.CloseTimeout] even when the peer is silent or stuck.
//   - Everything that waits is bounded: see [Options.ReceiveQueueBytes] and
//     [Options.SendQueueBytes].
//   - Errors are those of package transport; [HandshakeError] and [AcceptError]
//     tell why there was no connection. None contains a credential.
//
// # Engines
//
// The handshake is that of nhooyr.io/websocket or, by [Options.Engine], of its
// continuation github.com/coder/websocket. Frames are read and written by this
// package, unless messages are compressed or the connection was wrapped; then
// the engine does it. What the engines do differently from the above is corrected
// in the byte stream beneath them. With [Wrap] that stream is out of reach, which
// leaves these differences:
//
//   - nhooyr and coder give up a connection whose peer does not take a pong
//     within 5 s;
//   - nhooyr and coder take the loss of the connection between two frames, or
//     right after the header of one, for the end of the message, so that a part
//     of it is received as if it were whole;
//   - nhooyr answers a close frame twice, and can send data after that;
//   - Close can take up to 5 s longer than CloseTimeout with nhooyr and coder;
//   - nhooyr and coder connections have no [Transport.RemoteAddr].
package websocket
