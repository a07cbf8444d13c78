package endpoint

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/aip-go/aip/messages"
)

// Sentinel errors of who may do what, to be matched with errors.Is. They are in
// events and in what [Server.Serve] returns; clients are told less.
var (
	// ErrUnauthenticated: a client showed no credentials. An [Authenticator]
	// returns it, or an error that wraps it, for an answer of 401.
	ErrUnauthenticated = errors.New("endpoint: no credentials")
	// ErrNotAuthorized: a client is known, but may not do this: register as
	// what it says it is, or have to do with this device.
	ErrNotAuthorized = errors.New("endpoint: not authorized")
)

// Authenticator says on whose behalf a client connects, before its connection is
// accepted. It may be called concurrently, and must not keep or answer the
// request. An error that matches [ErrUnauthenticated] is answered with 401 and
// WWW-Authenticate, every other one, and a principal without a name, with 403;
// the client is not told what is wrong. The error goes into events and logs, so
// it must not contain credentials.
//
// [Tokens], [Certificates] and [FirstOf] make Authenticators.
type Authenticator func(r *http.Request) (*Principal, error)

// Principal is on whose behalf a client connects: a person, a machine, a
// program. Its sessions are its own: they cannot be resumed, and their ids not
// be taken over, on behalf of anyone else.
type Principal struct {
	// Name is unique to the principal. It is required.
	Name string
	// ClientIDs are the ids under which it may register clients. One that ends
	// with "*" stands for all that begin with what is before. None means Name
	// alone and, for a constellation, Name and what [Constellation] makes of it
	// for its devices: all that begin with Name and "@".
	ClientIDs []string
	// Roles are those in which it may register clients. None means devices
	// alone, because a constellation has power over others.
	Roles []messages.ClientType
	// Match, if set, decides instead of ClientIDs and Roles. It must return
	// quickly, and may be called concurrently.
	Match func(clientID string, role messages.ClientType) bool
	// API allows the use of [Server.API], which has power over all devices and
	// shows the results of all tasks.
	API bool
}

// mayRegister reports whether a client of that id and role is the principal's.
// Without a principal every one is: see [ServerOptions]' Token.
func (p *Principal) mayRegister(id string, role messages.ClientType) bool {
	switch {
	case p == nil:
		return true
	case p.Match != nil:
		return p.Match(id, role)
	case len(p.Roles) == 0 && role != messages.Device, len(p.Roles) > 0 && !slices.Contains(p.Roles, role):
		return false
	case len(p.ClientIDs) == 0:
		return id == p.Name || role == messages.Constellation && strings.HasPrefix(id, p.Name+"@")
	default:
		return slices.ContainsFunc(p.ClientIDs, func(pattern string) bool {
			prefix, all := strings.CutSuffix(pattern, "*")
			return id == pattern || all && strings.HasPrefix(id, prefix)
		})
	}
}

// owner returns whom sessions belong to: without a principal everyone, because
// whoever shows the token is the same.
func (p *Principal) owner() string {
	if p == nil {
		return ""
	}
	return p.Name
}

func (p Principal) clone() *Principal {
	p.ClientIDs, p.Roles = slices.Clone(p.ClientIDs), slices.Clone(p.Roles)
	return &p
}

type principalKey struct{}

// WithPrincipal returns a context that makes [Server.Serve] serve a connection on
// behalf of p, which is copied. It is for transports other than WebSockets, and
// for HTTP middleware that authenticates by itself: [Server.ServeHTTP] finds it
// in the request's context, unless it has an Authenticator.
func WithPrincipal(ctx context.Context, p *Principal) context.Context {
	if p != nil {
		p = p.clone()
	}
	return context.WithValue(ctx, principalKey{}, p)
}

// principalOf returns on whose behalf a connection is served; nil for everyone's.
// A server that authenticates its clients serves none without a name.
func (s *Server) principalOf(ctx context.Context) (*Principal, error) {
	p, _ := ctx.Value(principalKey{}).(*Principal)
	switch {
	case p == nil && s.options.Authenticate != nil:
		return nil, ErrUnauthenticated
	case p != nil && p.Name == "":
		return nil, errNamelessPrincipal
	default:
		return p, nil
	}
}

var errNamelessPrincipal = errors.New("endpoint: the principal has no name")
