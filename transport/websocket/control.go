package websocket

import (
	"encoding/binary"

	"github.com/aip-go/aip/internal/utf8text"
	"github.com/aip-go/aip/transport"
)

// control does what a control frame of the peer asks for (RFC 6455 section 5.5).
// The error of a close frame is a [*transport.CloseError].
func (c *conn) control(opcode byte, payload []byte) error {
	switch opcode {
	case opPing:
		c.gate.writeControl(opPong, payload)
	case opPong:
		c.pings.answered(c, payload)
	case opClose:
		end, err := parseClose(payload)
		if err != nil {
			return err
		}
		c.gate.writeControl(opClose, payload)
		return end
	}
	return nil
}

// parseClose returns what a close frame with that payload says (RFC 6455 section
// 7.1.5).
func parseClose(payload []byte) (*transport.CloseError, error) {
	end := &transport.CloseError{Code: transport.StatusNoStatus, Remote: true}
	if len(payload) == 0 {
		return end, nil
	}
	if len(payload) < 2 {
		return nil, violation(errCloseCode)
	}
	end.Code, end.Reason = transport.StatusCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
	if !end.Code.Sendable() {
		return nil, violation(errCloseCode)
	}
	if !utf8text.Valid(payload[2:]) {
		return nil, errNotText
	}
	return end, nil
}

// writeControl has a control frame written, unless a close frame comes before
// it, or it is a pong and too many wait: a peer that pings and does not read
// gets no more of them. After a close frame nothing is written.
func (g *gate) writeControl(opcode byte, payload []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing || g.killed || g.sendErr != nil || opcode == opPong && g.whole > maxControl {
		return
	}
	if g.buffer == nil {
		g.buffer = getBuffer()
	}
	g.add(finBit|opcode, payload)
	g.closing = opcode == opClose
	g.kick()
}
