package endpoint

import (
	"cmp"
	"errors"
	"net"
	"slices"
)

// errNoAddress: no interface that is up has an address that others could use.
var errNoAddress = errors.New("no network interface has an address")

// primaryAddress returns the address by which others most likely reach this
// host. It looks at the interfaces and does not touch the network.
func primaryAddress() (net.IP, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var candidates []candidateAddress
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil { // it has gone since
			continue
		}
		candidates = append(candidates, addressesOf(i, addresses)...)
	}
	return chooseAddress(candidates)
}

// candidateAddress is an address of an interface.
type candidateAddress struct {
	ip             net.IP
	index          int // of the interface
	running, point bool
}

// addressesOf returns the addresses of an interface that others could use.
func addressesOf(i net.Interface, addresses []net.Addr) []candidateAddress {
	if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
		return nil
	}
	var out []candidateAddress
	for _, address := range addresses {
		network, ok := address.(*net.IPNet)
		if !ok || !network.IP.IsGlobalUnicast() {
			continue
		}
		out = append(out, candidateAddress{
			ip: network.IP, index: i.Index,
			running: i.Flags&net.FlagRunning != 0, point: i.Flags&net.FlagPointToPoint != 0,
		})
	}
	return out
}

// chooseAddress prefers interfaces that carry traffic to those that could,
// networks to tunnels, IPv4 to IPv6, and then the oldest interface.
func chooseAddress(candidates []candidateAddress) (net.IP, error) {
	if len(candidates) == 0 {
		return nil, errNoAddress
	}
	first := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	return slices.MinFunc(candidates, func(a, b candidateAddress) int {
		return cmp.Or(
			cmp.Compare(first(a.running), first(b.running)),
			cmp.Compare(first(!a.point), first(!b.point)),
			cmp.Compare(first(a.ip.To4() != nil), first(b.ip.To4() != nil)),
			cmp.Compare(a.index, b.index),
		)
	}).ip, nil
}
