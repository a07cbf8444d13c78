package transport

import (
	"fmt"
	"unicode/utf8"
)

// StatusCode is the code of a closing handshake (RFC 6455 section 7.4 and the
// IANA registry of WebSocket close codes). Transports other than WebSocket
// carry the same codes.
type StatusCode int

// The registered codes.
const (
	StatusNormal             StatusCode = 1000
	StatusGoingAway          StatusCode = 1001
	StatusProtocolError      StatusCode = 1002
	StatusUnsupportedData    StatusCode = 1003
	StatusNoStatus           StatusCode = 1005 // never sent: the peer gave no code
	StatusAbnormal           StatusCode = 1006 // never sent: there was no closing handshake
	StatusInvalidPayload     StatusCode = 1007
	StatusPolicyViolation    StatusCode = 1008
	StatusMessageTooBig      StatusCode = 1009
	StatusMandatoryExtension StatusCode = 1010
	StatusInternalError      StatusCode = 1011
	StatusServiceRestart     StatusCode = 1012
	StatusTryAgainLater      StatusCode = 1013
	StatusBadGateway         StatusCode = 1014
	StatusTLSHandshake       StatusCode = 1015 // never sent
)

var statusNames = map[StatusCode]string{
	StatusNormal:             "normal closure",
	StatusGoingAway:          "going away",
	StatusProtocolError:      "protocol error",
	StatusUnsupportedData:    "unsupported data",
	StatusNoStatus:           "no status",
	StatusAbnormal:           "abnormal closure",
	StatusInvalidPayload:     "invalid payload data",
	StatusPolicyViolation:    "policy violation",
	StatusMessageTooBig:      "message too big",
	StatusMandatoryExtension: "mandatory extension",
	StatusInternalError:      "internal error",
	StatusServiceRestart:     "service restart",
	StatusTryAgainLater:      "try again later",
	StatusBadGateway:         "bad gateway",
	StatusTLSHandshake:       "TLS handshake",
}

// String returns the number and, where it is registered, the meaning.
func (c StatusCode) String() string {
	if name, ok := statusNames[c]; ok {
		return fmt.Sprintf("%d (%s)", int(c), name)
	}
	return fmt.Sprintf("%d", int(c))
}

// Sendable reports whether the code may be put into a close frame: a
// registered one that is not reserved, or one of 3000–4999.
func (c StatusCode) Sendable() bool {
	switch c {
	case StatusNoStatus, StatusAbnormal, StatusTLSHandshake:
		return false
	}
	_, registered := statusNames[c]
	return registered || (c >= 3000 && c <= 4999)
}

// maxReason is what a control frame's 125 bytes leave beside the code.
const maxReason = 123

// TruncateReason cuts a close reason to the 123 bytes a close frame can carry,
// at a character boundary, and drops bytes that are not UTF-8 from its end.
func TruncateReason(reason string) string {
	if len(reason) <= maxReason && utf8.ValidString(reason) {
		return reason
	}
	end := 0
	for i, r := range reason {
		size := utf8.RuneLen(r)
		if r == utf8.RuneError {
			if _, width := utf8.DecodeRuneInString(reason[i:]); width == 1 {
				break
			}
		}
		if i+size > maxReason {
			break
		}
		end = i + size
	}
	return reason[:end]
}
