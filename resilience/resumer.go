package resilience

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// DefaultMaxSessions is the default of [ResumerOptions.MaxSessions].
const DefaultMaxSessions = 16384

// ResumerOptions configures a [Resumer]. Nil and zero values mean the defaults.
type ResumerOptions struct {
	// Grace is how long a session outlives its connection at most; a client
	// can ask for less. Default 120 s.
	Grace time.Duration
	// MaxMessages and MaxBytes bound what is kept for one session. Defaults
	// 1024 and 8 MiB; of the bytes, a client can ask for less.
	MaxMessages int
	MaxBytes    int64
	// MaxSessions bounds the sessions; the clients of further ones get none
	// that can be resumed. Default 16384; negative means no limit.
	MaxSessions int
	// Detached is told of a session that has lost its connection, with the
	// client's id and what ended the connection. It must return quickly and
	// must not call the session. Nil for nobody.
	Detached func(clientID string, cause error)
	// Epoch names the state that sessions belong to. Default: random, because
	// sessions in memory end with the process.
	Epoch string
	// Logger is told of what no return value reports. Nil is silent.
	Logger *zap.Logger
}

// Resumer is a server's side of resumable sessions: it gives them out and finds
// the one that a client comes back to. All methods may be called concurrently.
type Resumer struct {
	o ResumerOptions

	mu       sync.Mutex
	sessions map[identity]*Session
}

// identity is whom a session is bound to, besides the owner.
type identity struct {
	clientID string
	role     messages.ClientType
	targetID string
}

// NewResumer returns a resumer without sessions, or an error that matches
// [ErrInvalidOptions].
func NewResumer(opts *ResumerOptions) (*Resumer, error) {
	var o ResumerOptions
	if opts != nil {
		o = *opts
	}
	if o.Grace < 0 {
		return nil, invalid("Grace is %v, want 0 or more", o.Grace)
	}
	if err := completeLimits(&o.MaxMessages, &o.MaxBytes); err != nil {
		return nil, err
	}
	setDefault(&o.Grace, DefaultGrace)
	setDefault(&o.MaxSessions, DefaultMaxSessions)
	if o.Epoch == "" {
		o.Epoch = newToken()
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return &Resumer{o: o, sessions: map[identity]*Session{}}, nil
}

// Claim returns the session that a registration continues: the client shows its
// token, and is who the token was given to; nil if there is none. owner is whom
// the client has authenticated as on this connection. Answer the registration
// with [Session.Resume] then, and with [Resumer.Confirm] otherwise.
func (r *Resumer) Claim(registration *protocol.Registration, owner string) *Session {
	offer := readOffer(registration.Message)
	if offer == nil || offer.Previous == "" {
		return nil
	}
	r.mu.Lock()
	s := r.sessions[identityOf(registration)]
	r.mu.Unlock()
	if s == nil || !s.ownedBy(owner) || !s.knows(offer.Previous) {
		return nil
	}
	return s
}

// Confirm confirms a registration that arrived over t, as
// [protocol.Registration.Confirm] does. If the client asks for a session that
// can be resumed, it returns that session, over t; it is the transport to use
// from then on, and it has taken over t. Otherwise it returns nil, and t is
// used as it is. An earlier session of the same client has to be closed before.
//
// The errors are those of [protocol.Registration.ConfirmWith].
func (r *Resumer) Confirm(ctx context.Context, t transport.Transport, registration *protocol.Registration, owner string) (*Session, error) {
	offer := readOffer(registration.Message)
	if offer == nil {
		return nil, registration.Confirm(ctx)
	}
	s, err := r.newSession(registration, owner, offer)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return nil, registration.Confirm(ctx)
	}
	// A client that is told of its session may come back on another connection
	// before this one serves it.
	s.handshake.wait()
	defer s.handshake.leave()
	token := newToken()
	if err := s.session.forget(SessionState{Token: token, Epoch: r.o.Epoch, Owner: s.owner}, nil); err != nil {
		s.end(err)
		return nil, err
	}
	err = s.answer(ctx, registration, resumeAnswer{Token: token})
	if err == nil {
		err = s.serve(t, 0)
	}
	if err != nil {
		s.end(err)
		return nil, err
	}
	return s, nil
}

// newSession returns a session that is in the list; nil if there is no room.
func (r *Resumer) newSession(registration *protocol.Registration, owner string, offer *resumeOffer) (*Session, error) {
	l := limits{r.o.MaxMessages, min(r.o.MaxBytes, offer.MaxBytes)}
	core, err := newSession(NewMemoryStore(), l, r.o.Logger)
	if err != nil {
		return nil, err
	}
	s := &Session{
		resumer: r, identity: identityOf(registration), owner: owner, session: core,
		grace: min(r.o.Grace, ofSeconds(offer.MaxS)), ended: make(chan struct{}), handshake: make(turnstile, 1),
	}
	moveTo(&s.machine, transport.Connecting)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.o.MaxSessions >= 0 && len(r.sessions) >= r.o.MaxSessions {
		core.stop()
		return nil, nil
	}
	if r.sessions[s.identity] != nil {
		core.stop()
		return nil, fmt.Errorf("%w: an earlier session of this client goes on; close it first", ErrBusy)
	}
	r.sessions[s.identity] = s
	return s, nil
}

// remove takes s out of the list.
func (r *Resumer) remove(s *Session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sessions[s.identity] == s {
		delete(r.sessions, s.identity)
	}
}

// Sessions returns how many sessions there are, and how many of them have no
// connection.
func (r *Resumer) Sessions() (all, detached int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if !s.IsConnected() {
			detached++
		}
	}
	return len(r.sessions), detached
}

func identityOf(r *protocol.Registration) identity {
	return identity{r.ClientID, r.ClientType, r.TargetID}
}

// equal compares in constant time, whatever the lengths.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
