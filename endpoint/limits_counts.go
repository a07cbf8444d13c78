package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// errTooManyFromAddress is ErrTooManyUnregistered for one address.
var errTooManyFromAddress = fmt.Errorf("%w from this address", ErrTooManyUnregistered)

// visit is a connection on its way to Serve: where it comes from, and whether it
// is counted as unregistered already.
type visit struct {
	address string
	counted bool
}

type visitKey struct{}

func withVisit(ctx context.Context, v visit) context.Context {
	return context.WithValue(ctx, visitKey{}, v)
}

func visitIn(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// expect counts a connection from address before it is accepted, so that those
// that are being accepted do not come as a surprise; or says why it is not taken.
func (s *Server) expect(address string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := firstError(s.full(), s.unregistered.tooMany(s.options.Limits, address)); err != nil {
		return err
	}
	s.unregistered.add(address)
	return nil
}

// dontExpect takes expect back.
func (s *Server) dontExpect(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unregistered.remove(address)
}

// addressOf returns by what a request's connection is counted, "" if it is
// unknown.
func (s *Server) addressOf(r *http.Request) string {
	if f := s.options.ClientIP; f != nil {
		return networkOf(f(r))
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return networkOf(host)
}

// maxAddress is how much is kept of what is no IP address, in bytes.
const maxAddress = 128

// networkOf returns the address or, of IPv6, the /64 network, which is what one
// subscriber gets.
func networkOf(host string) string {
	ip, err := netip.ParseAddr(host)
	if err != nil {
		// It may be what a client writes, in a header as long as it likes.
		return strings.Clone(host[:min(len(host), maxAddress)])
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // cannot fail for IPv6
	return network.String()
}

// unregistered counts connections that have not registered yet. It is guarded by
// the server's lock.
type unregistered struct {
	all  int
	from map[string]int // by address
}

// tooMany returns why there is no room for one more from address, or nil.
func (u *unregistered) tooMany(l *Limits, address string) error {
	if u.all >= l.MaxUnregistered {
		return ErrTooManyUnregistered
	}
	if address != "" && u.from[address] >= l.MaxUnregisteredPerIP {
		return errTooManyFromAddress
	}
	return nil
}

func (u *unregistered) add(address string) {
	u.all++
	if u.from == nil {
		u.from = map[string]int{}
	}
	u.from[address]++
}

func (u *unregistered) remove(address string) {
	u.all--
	if u.from[address]--; u.from[address] == 0 {
		delete(u.from, address)
	}
}

// counted notes that c is not among the unregistered connections any more.
func (s *Server) counted(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.unregistered {
		c.unregistered = false
		s.unregistered.remove(c.address)
	}
}

// count counts the clients of c's principal, of which there are n more. The
// server is locked.
func (s *Server) count(c *client, n int) {
	if c.principal == nil {
		return
	}
	name := c.principal.Name
	if s.principals[name] += n; s.principals[name] == 0 {
		delete(s.principals, name)
	}
}
