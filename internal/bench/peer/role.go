package peer

import (
	"encoding/json"
	"fmt"
	"time"
)

// All messages are JSON objects, as the sessions of a link require, and the
// payloads begin with their type, as AIP's messages do. The first message on a
// connection says what the serving side does: it is a role.
type role struct {
	Role     string
	Size     int           `json:",omitempty"` // of a source's messages, in bytes
	Duration time.Duration `json:",omitempty"` // for which a source sends
}

func encode(r role) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // it has nothing that cannot be encoded
	}
	return text
}

// The roles of the serving side, as the first message on a connection. Echo
// sends back what comes. Sink counts, and answers End with the count. Idle
// answers with End once it is ready. Source sends messages of a size for a
// duration, and then their number.
var (
	Echo = encode(role{Role: "echo"})
	Sink = encode(role{Role: "sink"})
	Idle = encode(role{Role: "idle"})
)

// Source returns the role of a source.
func Source(size int, duration time.Duration) []byte {
	return encode(role{Role: "source", Size: size, Duration: duration})
}

// End asks a sink for its count. No payload is as short.
var End = []byte("{}")

// minPayload is the size of the smallest payload.
const minPayload = 64

// Payload returns a message of that size, which is at least 64 bytes: a text
// that is the results of a command to a link, which has to keep it.
func Payload(size int) []byte {
	message := make([]byte, size)
	for i := range message {
		message[i] = 'a' + byte(i%26)
	}
	copy(message, `{"type":"command_results","status":"ok","text":"`)
	copy(message[size-2:], `"}`)
	return message
}

// count is the answer of a sink and the last message of a source.
type count struct{ Count uint64 }

// ParseCount reads a sink's answer, or a source's last message.
func ParseCount(message []byte) (uint64, error) {
	var c count
	err := json.Unmarshal(message, &c)
	return c.Count, err
}

func sendCount(conn Conn, n uint64) error {
	text, err := json.Marshal(count{n})
	if err != nil {
		return err
	}
	return sendNow(conn, text)
}

// Serve is the serving side of all measurements.
func Serve(conn Conn) {
	var handle func([]byte) error
	// Its error is the end of the connection, which the dialling side knows.
	_ = conn.Receive(func(message []byte) error {
		if handle != nil {
			return handle(message)
		}
		var r role
		err := json.Unmarshal(message, &r)
		if err == nil {
			handle, err = play(conn, r)
		}
		return err
	})
}

// play begins what a role asks for, and returns what takes the messages.
func play(conn Conn, r role) (func([]byte) error, error) {
	switch r.Role {
	case "echo":
		return conn.Send, nil
	case "sink":
		return sink(conn), nil
	case "idle":
		return sink(conn), sendNow(conn, End)
	case "source":
		return sink(conn), source(conn, r.Size, r.Duration)
	default:
		return nil, fmt.Errorf("no role is called %q", r.Role)
	}
}

// sink counts what comes, and answers the end with the count.
func sink(conn Conn) func([]byte) error {
	n := uint64(0)
	return func(message []byte) error {
		if len(message) >= minPayload {
			n++
			return nil
		}
		return sendCount(conn, n)
	}
}

// source sends messages for a duration and then their number.
func source(conn Conn, size int, duration time.Duration) error {
	n, err := SendFor(conn, Payload(size), duration)
	if err != nil {
		return err
	}
	return sendCount(conn, n)
}

// SendFor sends the message again and again for a duration, once at least, and
// returns how often.
func SendFor(conn Conn, message []byte, duration time.Duration) (n uint64, err error) {
	stride := uint64(max(1, (16<<10)/len(message))) // between two looks at the clock
	for start := time.Now(); n%stride != 0 || n == 0 || time.Since(start) < duration; n++ {
		if err := conn.Send(message); err != nil {
			return n, err
		}
	}
	return n, nil
}

func sendNow(conn Conn, message []byte) error {
	if err := conn.Send(message); err != nil {
		return err
	}
	return conn.Flush()
}
