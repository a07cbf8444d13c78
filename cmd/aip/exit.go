package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport/websocket"
)

// The exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitLost        = 4
	exitTimeout     = 5
	exitForbidden   = 6
	exitInterrupted = 130
)

// exitCode returns the exit code for how a connection or a task ended.
func exitCode(err error) int {
	var (
		handshake    *websocket.HandshakeError
		registration *protocol.RegistrationError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &handshake) && (handshake.StatusCode == http.StatusUnauthorized || handshake.StatusCode == http.StatusForbidden):
		return exitForbidden
	case errors.As(err, &registration) && registration.Failure == protocol.RegistrationRefused, errors.Is(err, endpoint.ErrTaskRefused):
		return exitRefused
	case errors.Is(err, endpoint.ErrTaskTimeout), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, endpoint.ErrTaskFailed):
		return exitFailed
	case errors.Is(err, endpoint.ErrInvalidOptions):
		return exitUsage
	}
	return exitLost
}

// complain says in one line what went wrong with a command.
func complain(s streams, name string, err error) {
	fmt.Fprintf(s.err, "aip %s: %s\n", name, printable(err.Error(), ""))
}

// misused says in two lines what is wrong with a command line.
func misused(s streams, name, text string) int {
	fmt.Fprintf(s.err, "aip %s: %s\nrun \"aip %s --help\"\n", name, text, name)
	return exitUsage
}
