//go:build unix

package websocket

import "syscall"

// canWriteNow: writeNow does something.
const canWriteNow = true

// writeNow writes what a non-blocking descriptor takes at once.
func writeNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Write(int(fd), p)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}
