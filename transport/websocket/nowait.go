package websocket

import (
	"net"
	"os"
	"syscall"
)

// nowait writes to a connection of the operating system without waiting for
// the peer to take anything. It is used by one goroutine at a time.
type nowait struct {
	raw     syscall.RawConn
	network string
	// Of the write that runs, which is a field to spare an allocation for each.
	write func(fd uintptr) bool
	p     []byte
	n     int
	err   error
}

// newNowait returns a nowait for the connection, or nil if that is none
// of the operating system's own: what wraps one may do more than write.
func newNowait(conn any) *nowait {
	var (
		raw     syscall.RawConn
		network string
		err     error
	)
	switch c := conn.(type) {
	case *net.TCPConn:
		network = "tcp"
		raw, err = c.SyscallConn()
	case *net.UnixConn:
		network = "unix"
		raw, err = c.SyscallConn()
	}
	if raw == nil || err != nil || !canWriteNow {
		return nil
	}
	a := &nowait{raw: raw, network: network}
	a.write = func(fd uintptr) bool {
		a.n, a.err = writeNow(fd, a.p)
		return true
	}
	return a
}

// try writes as much of p as the operating system takes at once, and returns how
// much that was.
func (a *nowait) try(p []byte) (int, error) {
	a.p, a.n, a.err = p, 0, nil
	err := a.raw.Write(a.write)
	a.p = nil
	if err == nil && a.err != nil {
		err = &net.OpError{Op: "write", Net: a.network, Err: os.NewSyscallError("write", a.err)}
	}
	return a.n, err
}
