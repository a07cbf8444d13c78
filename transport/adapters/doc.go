// Package adapters makes one open WebSocket look the same whichever library
// opened it: nhooyr.io/websocket, github.com/coder/websocket or
// github.com/gorilla/websocket. [Detect] finds the adapter of a connection that
// somebody else opened; [Nhooyr] and [Coder] open connections themselves.
//
// Package [github.com/aip-go/aip/transport/websocket] is a transport on top of
// it, and what programs normally use. Another WebSocket library is added by
// implementing [Conn]; Detect takes such a value as it is.
package adapters
