package resilience

import (
	"fmt"

	"github.com/aip-go/aip/transport"
)

// Store keeps what one side of one session needs to continue it on another
// connection: the state, and the messages that the peer has not acknowledged.
// [NewMemoryStore] and [NewFileStore] make one; a program can have its own, for
// example in a shared store.
//
// A session calls it from one goroutine at a time and has no other user of it.
// An error ends the session: what could not be kept cannot be promised.
type Store interface {
	// Load returns the state and the kept messages, in order and without
	// gaps, of an earlier session; the zero state if there is none. It is
	// called before everything else. The caller may keep and must not change
	// what it returns.
	Load() (SessionState, []KeptMessage, error)

	// Begin replaces everything with the state of a new session.
	Begin(state SessionState) error

	// Save replaces the state. The kept messages stay.
	Save(state SessionState) error

	// Received notes that the messages of the peer up to and including the
	// number rx have been processed.
	Received(rx uint64) error

	// Append keeps m, whose number follows that of the last one kept. The
	// store may keep the bytes of m, which nobody changes, until it releases
	// them.
	Append(m KeptMessage) error

	// Release forgets the messages up to and including the number through,
	// which the peer has acknowledged.
	Release(through uint64) error

	// Close gives up what the store holds open. It does not forget.
	Close() error
}

// SessionState is what a side knows of its session besides the messages. It
// holds a credential: the token.
type SessionState struct {
	// Token lets a client continue the session; empty means that there is none.
	// A server keeps the one that it gave out last.
	Token string
	// PreviousToken is, at a server, the token that the client came with last:
	// it may not have received the new one.
	PreviousToken string
	// Epoch is the server's, to which the session belongs.
	Epoch string
	// Owner is, at a server, to whom the session is bound; see Resumer.
	Owner string
	// Sent is the number of the last message of this side, and Received that
	// of the last message of the peer that was processed.
	Sent, Received uint64
}

// String returns the state without the tokens and the owner.
func (s SessionState) String() string {
	return fmt.Sprintf("{token: %t, epoch: %q, sent: %d, received: %d}", s.Token != "", s.Epoch, s.Sent, s.Received)
}

// GoString returns the same.
func (s SessionState) GoString() string { return s.String() }

// KeptMessage is one message of a session, with its number.
type KeptMessage struct {
	Seq uint64
	// Text is the text frame as it is written, with its number. Empty stands
	// for a message that was too large to be kept.
	Text []byte
	// Binary is the binary frame that follows a Text that announces one; nil
	// if none does.
	Binary []byte
}

// size is what m counts against the limit.
func (m *KeptMessage) size() int64 { return int64(len(m.Text) + len(m.Binary)) }

// frames returns the frames of m.
func (m *KeptMessage) frames() []transport.Frame {
	frames := []transport.Frame{{Kind: transport.Text, Data: m.Text}}
	if m.Binary != nil {
		frames = append(frames, transport.Frame{Kind: transport.Binary, Data: m.Binary})
	}
	return frames
}
