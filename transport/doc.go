// Package transport is the contract between AIP's protocol and the network: a
// small interface for sending and receiving whole messages, the states of a
// connection, and the errors. It depends on the standard library alone.
//
// A program uses an implementation, such as package
// [github.com/aip-go/aip/transport/websocket] or this package's in-memory
// pair, through the [Transport] interface. What only some transports can do
// (binary messages, streams, pings, close codes) is in small optional
// interfaces, found with [As], also behind wrappers.
//
// Anyone can implement a transport; package
// [github.com/aip-go/aip/transport/transporttest] tests whether it keeps the
// contract.
package transport
