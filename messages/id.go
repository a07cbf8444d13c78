package messages

import (
	"crypto/rand"
	"sync"

	"github.com/google/uuid"
)

// NewID returns a fresh id: a random (version 4) UUID in lower case. Ids of
// messages, sessions and calls are opaque; this is the form in which the
// constructors fill them.
func NewID() string {
	block := randomBlocks.Get().(*randomBlock)
	id := block.next()
	randomBlocks.Put(block)
	id[6] = id[6]&0x0f | 0x40 // version 4
	id[8] = id[8]&0x3f | 0x80 // the variant of RFC 9562
	return id.String()
}

// randomBlock is randomness for some ids: the system is asked for that of many
// at once.
type randomBlock struct {
	bytes [64 * len(uuid.UUID{})]byte
	rest  []byte // of bytes: what was not used yet
}

// randomBlocks holds *randomBlock. Each is used by one caller at a time.
var randomBlocks = sync.Pool{New: func() any { return new(randomBlock) }}

// next returns random bytes, and keeps nothing of them.
func (b *randomBlock) next() (id uuid.UUID) {
	if len(b.rest) == 0 {
		_, _ = rand.Read(b.bytes[:]) // It never fails.
		b.rest = b.bytes[:]
	}
	n := copy(id[:], b.rest)
	clear(b.rest[:n])
	b.rest = b.rest[n:]
	return id
}

// ConstellationClientID returns the client id under which the constellation
// name serves the device deviceID: "name@device". A constellation keeps one
// connection per device, and client ids are unique on a server.
func ConstellationClientID(name, deviceID string) string {
	return name + "@" + deviceID
}

// ConstellationSessionID returns the session id of the task taskID of the
// constellation name: "name@task".
func ConstellationSessionID(name, taskID string) string {
	return name + "@" + taskID
}
