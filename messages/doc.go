// Package messages holds the typed messages of AIP, the Agent Interaction
// Protocol: what a client sends ([ClientMessage]), what a server sends
// ([ServerMessage]), the models nested in them, and the metadata that
// announces binary frames.
//
// # Reading a struct
//
// A field that is optional on the wire is a string whose empty value means
// unset, a pointer for numbers and booleans, a slice whose nil value means
// unset (an empty slice is an empty JSON array), or a [Value] for free-form
// JSON. The peer does not tell an absent field from null, and neither does
// this package.
//
// The structs marshal with encoding/json, without unset fields. Package codec
// reads and writes them faster and with the protocol's own strictness, and is
// what to use for messages from a peer.
//
// # Making and checking messages
//
// The constructors (New...) fill ids, timestamps and the fixed fields of each
// flow of the protocol. [ClientMessage.Validate] and its siblings check a
// message against its model; the Validate... functions check in addition what
// the flow of that message type needs. Both report every wrong field at once
// in a [ValidationError].
//
// Messages are plain data: share them between goroutines as long as nobody
// writes to them. Values are immutable.
package messages
