package resilience

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// ResumeExtension is the name of the extension by which two peers agree that
// their session outlives its connections.
const ResumeExtension = "io.aip.resume"

// Defaults of resumable sessions, and of what a [Link] keeps.
const (
	// DefaultGrace is how long a session outlives its connection.
	DefaultGrace = 120 * time.Second
	// DefaultMaxBytes and DefaultMaxMessages bound what each side keeps.
	DefaultMaxBytes    = 8 << 20
	DefaultMaxMessages = 1024
)

// ErrSessionLost: the peer does not know the session any more, so that what was
// under way in it has to be begun anew.
var ErrSessionLost = errors.New("resilience: session lost")

const resumeVersion = 1

// resumeOffer is what a client puts into the metadata of its registration.
type resumeOffer struct {
	Version  int    `json:"v"`
	MaxS     int64  `json:"max_s"`
	MaxBytes int64  `json:"max_bytes"`
	Previous string `json:"prev,omitempty"`
	Received uint64 `json:"rx,omitempty"`
}

// resumeAnswer is what a server puts into the result of its confirmation.
type resumeAnswer struct {
	Version  int    `json:"v"`
	Token    string `json:"id"`
	Resumed  bool   `json:"resumed"`
	Received uint64 `json:"rx"`
	MaxS     int64  `json:"max_s"`
	MaxBytes int64  `json:"max_bytes,omitempty"`
	Epoch    string `json:"epoch"`
}

// newToken returns a token: 256 random bits.
func newToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // It never fails.
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// withMember returns object, a JSON object or unset, with one more member.
func withMember(object messages.Value, name string, v any) (messages.Value, error) {
	var o messages.Object
	if !object.IsNull() {
		if err := object.Decode(&o); err != nil {
			return messages.Value{}, err
		}
	}
	value, err := messages.NewValue(v)
	if err != nil {
		return messages.Value{}, err
	}
	o.Set(name, value)
	return o.Value(), nil
}

// member decodes a member of object into v, and reports whether there is one.
func member(object messages.Value, name string, v any) (bool, error) {
	if !object.IsObject() {
		return false, nil
	}
	var o messages.Object
	if err := object.Decode(&o); err != nil {
		return false, err
	}
	value, ok := o.Get(name)
	if !ok || value.IsNull() {
		return false, nil
	}
	return true, value.Decode(v)
}

// readOffer returns the offer of a registration; nil if it makes none that this
// side understands.
func readOffer(registration *messages.ClientMessage) *resumeOffer {
	var offer resumeOffer
	ok, err := member(registration.Metadata, ResumeExtension, &offer)
	if !ok || err != nil || offer.Version != resumeVersion || offer.MaxS <= 0 || offer.MaxBytes <= 0 {
		return nil
	}
	return &offer
}

// readAnswer returns the answer in a confirmation; nil if there is none.
func readAnswer(confirmation *messages.ServerMessage) (*resumeAnswer, error) {
	var answer resumeAnswer
	ok, err := member(confirmation.Result, ResumeExtension, &answer)
	switch {
	case err != nil:
		return nil, &answerError{err}
	case !ok || answer.Version != resumeVersion:
		return nil, nil
	case answer.Token == "" || answer.MaxS <= 0:
		return nil, &answerError{errors.New("it has no id or no max_s")}
	}
	return &answer, nil
}

// answerError is an answer that is none. It holds nothing of it.
type answerError struct{ err error }

func (e *answerError) Error() string {
	return fmt.Sprintf("resilience: server's answer to %s is not valid: %v", ResumeExtension, e.err)
}

func (e *answerError) Unwrap() error { return e.err }

// Retryable reports that such a server does not know what it agreed to.
func (e *answerError) Retryable() bool { return false }

// seconds returns d in whole seconds, at least one.
func seconds(d time.Duration) int64 { return max(int64(d/time.Second), 1) }

// ofSeconds returns n seconds.
func ofSeconds(n int64) time.Duration {
	if n > math.MaxInt64/int64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// moveTo makes the transitions that lead to a state: AIP has none from
// connected back to connecting but by way of an error and a reset.
func moveTo(m *transport.Machine, to transport.State) {
	for from := m.State(); from != to; from = m.State() {
		next := to
		switch {
		case from.CanBecome(to):
		case from == transport.Connected && to == transport.Disconnected:
			next = transport.Disconnecting
		case from == transport.Connected, from == transport.Connecting:
			next = transport.Failed
		case from == transport.Failed, from == transport.Disconnecting:
			next = transport.Disconnected
		case from == transport.Disconnected:
			next = transport.Connecting
		}
		_ = m.To(next) // Whoever was faster is seen in the next round.
	}
}
