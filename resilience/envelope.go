package resilience

import (
	"bytes"
	"strconv"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// The top-level members that resumable sessions add to text frames.
const (
	seqMember = `"seq":`
	ackMember = `"ack":`
)

// maxEnvelope is the most that the members and their punctuation take.
const maxEnvelope = len(`,"seq":18446744073709551615,"ack":18446744073709551615}`)

// appendEnvelope appends text, a JSON object, with the two numbers as its last
// members. They come last because the last of several members of the same name
// counts, and because they are found there without a look at the rest. A zero
// seq is left out. body is the length of what was appended without the members
// and the closing brace; 0, with nothing appended, if text is no object.
func appendEnvelope(dst, text []byte, seq, ack uint64) (_ []byte, body int) {
	text = bytes.TrimRight(text, " \t\r\n")
	if len(text) < 2 || text[len(text)-1] != '}' || !startsObject(text) {
		return dst, 0
	}
	start := len(dst)
	dst = append(dst, bytes.TrimRight(text[:len(text)-1], " \t\r\n")...)
	body = len(dst) - start
	if len(bytes.TrimLeft(dst[start:], " \t\r\n")) > 1 {
		dst = append(dst, ',')
	}
	if seq > 0 {
		dst = append(dst, seqMember...)
		dst = strconv.AppendUint(dst, seq, 10)
		dst = append(dst, ',')
	}
	dst = append(dst, ackMember...)
	dst = strconv.AppendUint(dst, ack, 10)
	return append(dst, '}'), body
}

func startsObject(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// envelope is what a session needs to know of a text frame.
type envelope struct {
	seq, ack       uint64
	hasSeq, hasAck bool
	// body is the length of the frame without the members, if they were its
	// last ones, and then without the closing brace; else 0.
	body int
}

// readEnvelope finds the numbers of a frame. Unless both are its last members,
// the whole frame is read for them; one that is no JSON object, or whose numbers
// are none, has no numbers.
func readEnvelope(text []byte) envelope {
	tail := readTail(text)
	if tail.hasSeq {
		return tail
	}
	var e envelope
	s := jsonscan.New(text, -1)
	if s.Kind() != '{' {
		return e
	}
	s.Open()
	for s.NextKey() {
		switch key := string(s.Key()); key {
		case "seq":
			e.seq, e.hasSeq = parseNumber(s.Raw())
			e.hasSeq = e.seq > 0
			tail.body = 0
		case "ack":
			e.ack, e.hasAck = parseNumber(s.Raw())
		default:
			s.Skip()
		}
	}
	if s.End() != nil {
		return envelope{}
	}
	e.body = tail.body
	return e
}

func parseNumber(text []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}

// readTail reads the form that appendEnvelope writes: digits, names and
// punctuation before the last brace, where nothing else can look the same.
func readTail(text []byte) envelope {
	rest, ok := bytes.CutSuffix(text, []byte{'}'})
	if !ok {
		return envelope{}
	}
	var e envelope
	if rest, e.ack, e.hasAck = cutNumber(rest, ackMember); !e.hasAck {
		return envelope{}
	}
	if before, ok := bytes.CutSuffix(rest, []byte{','}); ok {
		if before, seq, ok := cutNumber(before, seqMember); ok && seq > 0 {
			rest, e.seq, e.hasSeq = before, seq, true
		}
	}
	if trimmed, ok := bytes.CutSuffix(rest, []byte{','}); ok {
		rest = trimmed
	} else if len(rest) == 0 || rest[len(rest)-1] != '{' {
		return envelope{} // The name is the end of a longer one.
	}
	e.body = len(rest)
	return e
}

// cutNumber cuts a member with a number off the end of text.
func cutNumber(text []byte, member string) (rest []byte, n uint64, ok bool) {
	i := len(text)
	for i > 0 && text[i-1] >= '0' && text[i-1] <= '9' && len(text)-i < 20 {
		i--
	}
	if i == len(text) || !bytes.HasSuffix(text[:i], []byte(member)) || len(text)-i > 1 && text[i] == '0' {
		return text, 0, false
	}
	n, ok = parseNumber(text[i:])
	if !ok {
		return text, 0, false
	}
	return text[:i-len(member)], n, true
}

// frameRole is what a text frame is to a session.
type frameRole uint8

const (
	roleMessage frameRole = iota // it is numbered
	// roleBinary is a message that announces a binary frame.
	roleBinary
	// roleHeartbeat is a heartbeat without a session: it is not numbered.
	roleHeartbeat
	// roleBareHeartbeat has no timestamp either. Sessions write such ones to
	// carry an ack, and keep them for themselves.
	roleBareHeartbeat
	// roleRegister is not numbered.
	roleRegister
)

// roleOf returns the role of a text frame. It reads no more than it has to:
// the encoders of this SDK write the type first.
func roleOf(text []byte) frameRole {
	if bytes.HasPrefix(text, []byte(`{"type":"`)) {
		kind := text[len(`{"type":"`):]
		if i := bytes.IndexByte(kind, '"'); i > 0 && bytes.IndexByte(kind[:i], '\\') < 0 {
			switch string(kind[:i]) {
			case string(messages.ClientHeartbeat), messages.BinaryDataType, string(messages.ClientRegister):
			default:
				return roleMessage
			}
		}
	}
	return scanRole(text)
}

// scanRole is roleOf for frames whose type is not enough, or not the first.
func scanRole(text []byte) frameRole {
	var (
		kind                         string
		hasType, chunk, session, day bool
	)
	s := jsonscan.New(text, -1)
	if s.Kind() != '{' {
		return roleMessage
	}
	s.Open()
	for s.NextKey() {
		key := string(s.Key())
		isString := s.Kind() == '"'
		switch {
		case key == "type" && isString:
			kind, hasType = s.String(), true
		case key == "session_id":
			session = isString && len(s.Text()) > 0
			if !isString {
				s.Skip()
			}
		case key == "timestamp":
			day = isString
			s.Skip()
		default:
			chunk = chunk || key == "chunk_num"
			s.Skip()
		}
	}
	switch {
	case s.End() != nil:
		return roleMessage
	case kind == messages.BinaryDataType, !hasType && chunk:
		return roleBinary
	case kind == string(messages.ClientRegister):
		return roleRegister
	case kind != string(messages.ClientHeartbeat) || session:
		return roleMessage
	case day:
		return roleHeartbeat
	default:
		return roleBareHeartbeat
	}
}
