// Package protocol speaks AIP over any [transport.Transport]: it sends and
// receives typed messages, runs them through middleware, hands them to
// handlers in order, matches replies to calls, and knows the exchanges of AIP:
// registration, tasks, commands, heartbeats, device info, binary messages and
// file transfers.
//
// A client's end is a [Client], made by [NewClient]; a server's end is a
// [Server], made by [NewServer]. Both are an [AIPProtocol], whose type says
// which messages go out and which come in, so that sending a message in the
// wrong direction does not compile.
//
// # Pulling and running
//
// There are two ways to receive. [AIPProtocol.Receive] pulls one message at a
// time; it suits the registration and simple programs. [AIPProtocol.Run] reads
// all the time and hands messages to handlers; calls, whose replies have to be
// found among everything else, need it. Only one of the two reads at a time.
//
// The goroutine that called Run reads, and runs the handlers one message after the
// other, in the order in which the messages arrived. When a handler calls, or takes
// longer than a millisecond, another goroutine goes on reading, so that a slow
// handler delays the replies to calls no longer than that; what it reads waits in a
// bounded queue. It ends when it has not been needed for a while. Pongs are the
// transport's, and wait for nobody.
package protocol
