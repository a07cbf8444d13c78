package resilience

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A session file is a header and records. Numbers are little-endian.
//
//	header:  magic, version
//	record:  uint32 length of the body, uint32 CRC-32C of the body, body
//	body:    kind, then what the kind has
//	begin, save:        4 x (uint32 length, bytes), uint64 sent, uint64 received
//	append:             uint64 seq, uint32 length, text, 0 or (1, binary)
//	release, received:  uint64
const (
	fileHeader = "\x8aAIPses\x01"
	// frameSize is what a record has besides its body.
	frameSize = 8
	// maxBody is the longest body that is written or read.
	maxBody = 1 << 30
)

// recordKind says what a record does when the file is read.
type recordKind byte

const (
	recordBegin recordKind = iota + 1
	recordSave
	recordAppend
	recordRelease
	recordReceived
)

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	errMalformed = errors.New("malformed record")
)

// stateSize returns the size of a record with state.
func stateSize(state *SessionState) int64 {
	return frameSize + 1 + 4*4 + 2*8 +
		int64(len(state.Token)+len(state.PreviousToken)+len(state.Epoch)+len(state.Owner))
}

// messageSize returns the size of a record with m.
func messageSize(m *KeptMessage) int64 { return frameSize + 1 + 8 + 4 + 1 + m.size() }

// appendState appends a record of kind begin or save.
func appendState(b []byte, kind recordKind, state *SessionState) []byte {
	b, start := openRecord(b, kind)
	for _, text := range [...]string{state.Token, state.PreviousToken, state.Epoch, state.Owner} {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	b = binary.LittleEndian.AppendUint64(b, state.Sent)
	b = binary.LittleEndian.AppendUint64(b, state.Received)
	return sealRecord(b, start)
}

// appendMessage appends a record of kind append.
func appendMessage(b []byte, m *KeptMessage) []byte {
	b, start := openRecord(b, recordAppend)
	b = binary.LittleEndian.AppendUint64(b, m.Seq)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Text)))
	b = append(b, m.Text...)
	if m.Binary == nil {
		b = append(b, 0)
	} else {
		b = append(b, 1)
		b = append(b, m.Binary...)
	}
	return sealRecord(b, start)
}

// appendNumber appends a record of kind release or received.
func appendNumber(b []byte, kind recordKind, n uint64) []byte {
	b, start := openRecord(b, kind)
	b = binary.LittleEndian.AppendUint64(b, n)
	return sealRecord(b, start)
}

// openRecord appends the frame, still empty, and the kind. It returns where the
// record starts.
func openRecord(b []byte, kind recordKind) (_ []byte, start int) {
	start = len(b)
	b = append(b, make([]byte, frameSize)...)
	return append(b, byte(kind)), start
}

// sealRecord fills in the frame of the last record of b.
func sealRecord(b []byte, start int) []byte {
	body := b[start+frameSize:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b
}

// applyRecord does to s what the record with the body says. It keeps parts of
// the body.
func applyRecord(s *memoryStore, body []byte) error {
	kind, r := recordKind(body[0]), bodyReader{rest: body[1:]}
	switch kind {
	case recordBegin, recordSave:
		state := SessionState{
			Token:         string(r.bytes()),
			PreviousToken: string(r.bytes()),
			Epoch:         string(r.bytes()),
			Owner:         string(r.bytes()),
			Sent:          r.number(),
			Received:      r.number(),
		}
		if err := r.end(); err != nil {
			return err
		}
		if kind == recordBegin {
			return s.Begin(state)
		}
		return s.Save(state)
	case recordAppend:
		m := KeptMessage{Seq: r.number(), Text: r.bytes()}
		switch flag := r.take(1); {
		case r.bad || flag[0] > 1:
			return errMalformed
		case flag[0] == 1:
			m.Binary = r.take(len(r.rest))
		}
		if err := r.end(); err != nil {
			return err
		}
		return s.Append(m)
	case recordRelease, recordReceived:
		n := r.number()
		if err := r.end(); err != nil {
			return err
		}
		if kind == recordRelease {
			return s.Release(n)
		}
		return s.Received(n)
	default:
		return errMalformed
	}
}

// bodyReader takes a body apart. Once something is missing it is bad, and
// returns nothing more.
type bodyReader struct {
	rest []byte
	bad  bool
}

func (r *bodyReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *bodyReader) number() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *bodyReader) bytes() []byte {
	b := r.take(4)
	if b == nil {
		return nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n > maxBody {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// end returns an error unless everything was there and has been taken.
func (r *bodyReader) end() error {
	if r.bad || len(r.rest) > 0 {
		return errMalformed
	}
	return nil
}
