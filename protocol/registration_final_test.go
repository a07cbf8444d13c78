package protocol_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// Protects: clients from trying without end what cannot come to anything, and
// from giving up what can.
func TestRefusalForGood(t *testing.T) {
	for name, c := range map[string]struct {
		refuse    func(*testing.T, *protocol.Registration) error
		retryable bool
	}{
		"for now":  {func(t *testing.T, r *protocol.Registration) error { return r.Refuse(t.Context(), "not now") }, true},
		"for good": {func(t *testing.T, r *protocol.Registration) error { return r.RefuseForGood(t.Context(), "never") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := transport.NewPair(nil)
				client, err := protocol.NewClient(ours, nil)
				if err != nil {
					t.Fatal(err)
				}
				server, err := protocol.NewServer(theirs, nil)
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					registration, err := protocol.AwaitRegistration(t.Context(), server)
					if err == nil {
						err = c.refuse(t, registration)
					}
					if err != nil {
						t.Error(err)
					}
				}()
				_, err = protocol.Register(t.Context(), client, messages.NewDeviceRegistration("d", "", messages.Value{}))
				var refused *protocol.RegistrationError
				var text *protocol.RemoteError
				if !errors.As(err, &refused) || refused.Failure != protocol.RegistrationRefused || !errors.As(err, &text) {
					t.Errorf("Register: %v", err)
				}
				if transport.Retryable(err) != c.retryable {
					t.Errorf("%v is retryable: %v", err, !c.retryable)
				}
				if err := ours.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
