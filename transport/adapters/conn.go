package adapters

import (
	"context"
	"io"

	"github.com/aip-go/aip/transport"
)

// Conn is one open WebSocket. It answers the peer's pings and close frame by
// itself, as long as somebody reads.
//
// Reading (NextReader and the reader it returned) and writing (WriteMessage,
// NextWriter and the writer it returned) are for one goroutine each. Ping,
// WriteClose and CloseNow may be called at any time, concurrently with
// everything else. Whoever uses a Conn calls CloseNow in the end.
//
// There is no limit on the size of a message: it is read as a stream, and
// whoever collects one bounds it.
type Conn interface {
	// NextReader waits for the next message and returns a reader for it, which
	// ends with io.EOF and must be read to its end before the next call. When
	// the peer sent a close frame the error of either is a
	// [*transport.CloseError] with Remote set. Errors are final.
	NextReader() (transport.Kind, io.Reader, error)

	// WriteMessage sends data as one message, in one frame if the library and
	// its settings allow that. It does not keep data.
	WriteMessage(kind transport.Kind, data []byte) error

	// NextWriter begins a message. Each Write sends its bytes in frames of
	// their own, or keeps some back until the next one; Close ends the message.
	// Control frames can go out between two frames. A message that was begun
	// and not ended leaves the connection unusable.
	NextWriter(kind transport.Kind) (io.WriteCloser, error)

	// Ping sends a ping and waits for its pong, which somebody must be reading
	// for. With some libraries the connection is lost when ctx ends while the
	// ping is being written.
	Ping(ctx context.Context) error

	// WriteClose sends a close frame, unless one was sent before, and nothing
	// after it. It may wait for a frame that is being written and for the
	// peer's answer; CloseNow ends the wait. The code and the reason must be
	// fit for a close frame (see [transport.StatusCode.Sendable] and
	// [transport.TruncateReason]).
	WriteClose(code transport.StatusCode, reason string) error

	// CloseNow drops the connection, ends every other call and waits for the
	// goroutines that the connection owns. Calls after the first one do
	// nothing.
	CloseNow() error

	// Subprotocol returns the negotiated subprotocol; it is empty when there is
	// none.
	Subprotocol() string
}
