package endpoint

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// ReconnectOptions says what becomes of a [Device] or a [Constellation] whose
// connection is lost. Nil and zero values mean the defaults: it is replaced,
// without end, and with a server that knows how to, the session goes on.
type ReconnectOptions struct {
	// Off leaves it at one connection: when that is lost, or cannot be made,
	// it is over.
	Off bool
	// Strategy says when to try again. Nil means a [resilience.Backoff] with
	// its defaults, but without end.
	Strategy resilience.Strategy
	// Budget bounds the attempts of many endpoints together. Nil for none.
	Budget *resilience.Budget
	// NoResume does not ask for a session that outlives its connection: then
	// tasks and commands end with the connection.
	NoResume bool
	// Grace is how long the server is asked to keep the session of a lost
	// connection; zero means 120 seconds. The server may grant less.
	Grace time.Duration
	// Observe is told of every attempt; see [resilience.AttemptsOptions].
	Observe func(resilience.AttemptEvent)
}

// never allows no attempt.
type never struct{}

func (never) NextDelay(int, error) (time.Duration, bool) { return 0, false }

// connector is what an endpoint's link needs besides its options.
type connector struct {
	dial                Dialer
	registration        func(ctx context.Context) *messages.ClientMessage
	registrationTimeout time.Duration
	retryFirst          bool
	connected           func(resilience.Connection)
	lost                func(cause error)
	logger              *zap.Logger
}

// newReconnecting returns a link that is not connected.
func newReconnecting(o *ReconnectOptions, c connector) (*resilience.Link, error) {
	var r ReconnectOptions
	if o != nil {
		r = *o
	}
	options := resilience.LinkOptions{
		Dial: c.dial,
		Registration: func(ctx context.Context) (*messages.ClientMessage, error) {
			return c.registration(ctx), nil
		},
		RegistrationTimeout: c.registrationTimeout,
		Strategy:            r.Strategy,
		RetryFirst:          c.retryFirst && !r.Off,
		Attempts:            resilience.AttemptsOptions{Budget: r.Budget, Observe: r.Observe},
		Connected: func(_ context.Context, connection resilience.Connection) error {
			c.connected(connection)
			return nil
		},
		Lost:   c.lost,
		Logger: c.logger,
	}
	if r.Off {
		options.Strategy = never{}
	}
	if !r.Off && !r.NoResume {
		options.Resume = &resilience.ResumeOptions{Grace: r.Grace}
	}
	link, err := resilience.NewLink(&options)
	if err != nil {
		return nil, invalid("Reconnect: %w", err)
	}
	return link, nil
}

// kept returns a context for what has to arrive: while there is no connection,
// it waits for the next one.
func kept(ctx context.Context) context.Context {
	return transport.WithDelivery(ctx, transport.Buffered)
}

// fault returns what was wrong with the end of a connection: nil if nothing was.
func fault(cause error) error {
	var end *transport.CloseError
	if errors.As(cause, &end) && end.Clean() {
		return nil
	}
	return cause
}
