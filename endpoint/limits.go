package endpoint

import (
	"errors"
	"math"
	"time"
)

// Limits bounds what clients may ask of a server, beside MaxConnections and
// MaxTasks of [ServerOptions]. Zero means the default, negative no limit.
type Limits struct {
	// MessageRate and ByteRate are how many messages and bytes per second are
	// taken from one client, over all connections of its session; defaults 1000
	// and 256 MiB. MessageBurst and ByteBurst are what it may send at once after
	// a pause; default two seconds' worth. What comes faster is read later, and
	// the client waits.
	MessageRate, MessageBurst int
	ByteRate, ByteBurst       int64
	// MaxDelay is how long the messages of a client may be held back, in all
	// since it last kept to its rates. The client is then disconnected with
	// 1008 (policy violation) and [ErrRateExceeded], and so is one whose single
	// message takes longer. Default 30 seconds.
	MaxDelay time.Duration
	// RegistrationsPerMinute are those of one principal or, without principals,
	// of one client id from one address; default 1200, all of which may come at
	// once. Further ones are turned away with 1013 (try again later) and
	// [ErrTooManyRegistrations].
	RegistrationsPerMinute int
	// FailuresPerMinute are the requests from one address (of IPv6, one /64
	// network) that show wrong credentials; default 10, all of which may come at
	// once. What comes from the address then, with whatever credentials, is
	// answered with 429 and Retry-After, and not looked at: see
	// [ErrTooManyFailures]. Right credentials do not count, and neither does a
	// request without any. Behind a proxy, [ServerOptions]' ClientIP has to be
	// set: else one who guesses locks everyone out.
	FailuresPerMinute int
	// APIRequestsPerMinute are those of one principal or, without principals, of
	// one address to [Server.API]; default 3000, all of which may come at once.
	// Further ones are answered with 429 and Retry-After.
	APIRequestsPerMinute int
	// MaxUnregistered and MaxUnregisteredPerIP limit the connections that have
	// not registered yet: all of them, and those from one address (of IPv6, one
	// /64 network). Defaults 4096 and 1024. Further ones are answered with 503
	// and 429, or closed with 1013, and [ErrTooManyUnregistered].
	MaxUnregistered, MaxUnregisteredPerIP int
	// MaxClientsPerPrincipal limits the clients that are registered on behalf of
	// one principal, those included that have lost their connection for a while.
	// Default 4096. Further ones are turned away with 1013 and
	// [ErrTooManyClients].
	MaxClientsPerPrincipal int
}

// The defaults of Limits.
const (
	defaultMessageRate            = 1000
	defaultByteRate               = 256 << 20
	defaultBurstSeconds           = 2
	defaultMaxDelay               = 30 * time.Second
	defaultRegistrationsPerMinute = 1200
	defaultFailuresPerMinute      = 10
	defaultAPIRequestsPerMinute   = 3000
	defaultMaxUnregistered        = 4096
	defaultMaxUnregisteredPerIP   = 1024
	defaultMaxClientsPerPrincipal = 4096
)

// The limits of what clients call things, in bytes.
const (
	maxClientID  = 256  // also of targets and platforms
	maxSessionID = 1024 // also of requests
)

// Sentinel errors of the limits, to be matched with errors.Is.
var (
	// ErrRateExceeded: a client kept sending more than its [Limits] allow.
	ErrRateExceeded = errors.New("endpoint: client sends too much")
	// ErrTooManyRegistrations: registrations come faster than [Limits] allow.
	ErrTooManyRegistrations = errors.New("endpoint: too many registrations")
	// ErrTooManyFailures: too many requests from an address have shown wrong
	// credentials.
	ErrTooManyFailures = errors.New("endpoint: too many wrong credentials from this address")
	// ErrTooManyRequests: the API is used more often than [Limits] allow.
	ErrTooManyRequests = errors.New("endpoint: too many requests to the API")
	// ErrTooManyUnregistered: there are as many connections that have not
	// registered as [Limits] allow.
	ErrTooManyUnregistered = errors.New("endpoint: too many connections that have not registered")
	// ErrTooManyClients: the principal has as many clients as [Limits] allow.
	ErrTooManyClients = errors.New("endpoint: too many clients of one principal")
	// ErrInvalidID: a name that a client gives is too long, or has control
	// characters.
	ErrInvalidID = errors.New("endpoint: an id is too long or has control characters")
)

// withDefaults returns a copy of l with its defaults filled in.
func (l *Limits) withDefaults() *Limits {
	var out Limits
	if l != nil {
		out = *l
	}
	out.MessageRate = limitOr(out.MessageRate, defaultMessageRate)
	out.MessageBurst = limitOr(out.MessageBurst, burstOf(out.MessageRate))
	out.ByteRate = limitOr(out.ByteRate, defaultByteRate)
	out.ByteBurst = limitOr(out.ByteBurst, burstOf(out.ByteRate))
	out.MaxDelay = durationOr(out.MaxDelay, defaultMaxDelay)
	out.RegistrationsPerMinute = limitOr(out.RegistrationsPerMinute, defaultRegistrationsPerMinute)
	out.FailuresPerMinute = limitOr(out.FailuresPerMinute, defaultFailuresPerMinute)
	out.APIRequestsPerMinute = limitOr(out.APIRequestsPerMinute, defaultAPIRequestsPerMinute)
	out.MaxUnregistered = limitOr(out.MaxUnregistered, defaultMaxUnregistered)
	out.MaxUnregisteredPerIP = limitOr(out.MaxUnregisteredPerIP, defaultMaxUnregisteredPerIP)
	out.MaxClientsPerPrincipal = limitOr(out.MaxClientsPerPrincipal, defaultMaxClientsPerPrincipal)
	return &out
}

func burstOf[T int | int64](rate T) T {
	if rate > math.MaxInt/defaultBurstSeconds {
		return math.MaxInt
	}
	return rate * defaultBurstSeconds
}

// checkName checks a name of at most limit bytes that a client gives something.
// It may be empty.
func checkName(name string, limit int) error {
	if len(name) > limit {
		return ErrInvalidID
	}
	for _, r := range name {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ErrInvalidID
		}
	}
	return nil
}
