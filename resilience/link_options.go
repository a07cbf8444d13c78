package resilience

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// LinkOptions configures a [Link]. The zero value of every field but Dial means
// the default.
type LinkOptions struct {
	// Dial opens a connection. It is called for each attempt, so that what it
	// needs, such as credentials, can be fetched afresh. It must return when
	// its context ends, and should bound itself. It is required.
	Dial func(ctx context.Context, url string) (transport.Transport, error)
	// Registration returns the message by which this side registers on a new
	// connection, before anything else is sent; it is called for each attempt.
	// Nil does not register, and so cannot resume.
	Registration func(ctx context.Context) (*messages.ClientMessage, error)
	// RegistrationTimeout is how long the server may take to confirm it; zero
	// means 30 seconds, negative means no bound.
	RegistrationTimeout time.Duration
	// Strategy says when to try again. Nil means a [Backoff] with its defaults,
	// but without end.
	Strategy Strategy
	// RetryFirst makes Connect try again as well. Otherwise it makes one
	// attempt, and only lost connections are replaced.
	RetryFirst bool
	// Attempts has the rest of what concerns attempts: the stable period, a
	// budget, an observer. Its Logger is not used.
	Attempts AttemptsOptions
	// Resume asks the server for a session that outlives the connection. Nil
	// does not ask: then everything under way ends with the connection.
	Resume *ResumeOptions
	// MaxMessages and MaxBytes bound the messages that are kept: those that
	// wait for a connection, and in a resumable session those that the server
	// has not acknowledged. Zero means 1024 and 8 MiB.
	MaxMessages int
	MaxBytes    int64
	// Connected is told of each new connection, when this side is registered
	// and nothing else was sent; sends wait until it has returned. Its error
	// makes the attempt a failed one. It must not call the link, and must
	// return when its context ends.
	Connected func(ctx context.Context, c Connection) error
	// Lost is told what ended a connection, before attempts to replace it. It
	// must return quickly and must not call the link.
	Lost func(cause error)
	// Logger is told of what no return value reports. Nil is silent.
	Logger *zap.Logger
}

// ResumeOptions configures resumable sessions of a [Link].
type ResumeOptions struct {
	// Grace is how long the server is asked to keep the session of a lost
	// connection, in whole seconds; the server may grant less. Zero means 120
	// seconds.
	Grace time.Duration
	// Store keeps the session. Nil keeps it in memory. The link does not close
	// it; with one that outlives the process ([NewFileStore]), the next process
	// continues the session.
	Store Store
}

// Connection is a new connection of a [Link].
type Connection struct {
	// Number counts the connections of the link, from 1.
	Number uint64
	// Resumed: the session goes on; nothing was lost.
	Resumed bool
	// Resumable: the session can be resumed on the next connection.
	Resumable bool
	// Epoch is the server's, of a resumable session.
	Epoch string
	// Confirmation is the server's answer to the registration; nil if there was
	// none.
	Confirmation *messages.ServerMessage
}

// withDefaults returns a copy of o with its defaults filled in.
func (o *LinkOptions) withDefaults() (LinkOptions, error) {
	if o == nil || o.Dial == nil {
		return LinkOptions{}, invalid("Dial is required")
	}
	out := *o
	if out.Resume != nil {
		resume := *out.Resume
		switch {
		case out.Registration == nil:
			return out, invalid("Resume needs a Registration")
		case resume.Grace < 0:
			return out, invalid("Resume.Grace is %v, want 0 or more", resume.Grace)
		}
		setDefault(&resume.Grace, DefaultGrace)
		out.Resume = &resume
	}
	if err := completeLimits(&out.MaxMessages, &out.MaxBytes); err != nil {
		return out, err
	}
	if out.Strategy == nil {
		out.Strategy = newBackoff(BackoffOptions{Retries: Unlimited})
	}
	if out.Logger == nil {
		out.Logger = zap.NewNop()
	}
	out.Attempts.Logger = out.Logger
	return out, nil
}

// completeLimits fills in the defaults of what is kept.
func completeLimits(messages *int, bytes *int64) error {
	if *messages < 0 {
		return invalid("MaxMessages is %d, want 0 or more", *messages)
	}
	if *bytes < 0 {
		return invalid("MaxBytes is %d, want 0 or more", *bytes)
	}
	setDefault(messages, DefaultMaxMessages)
	setDefault(bytes, DefaultMaxBytes)
	return nil
}
