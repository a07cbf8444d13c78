package peer_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/aip-go/aip/internal/bench/peer"
)

// TestEcho has every peer send messages of all sizes back, in this process.
func TestEcho(t *testing.T) {
	for _, p := range peer.All() {
		t.Run(p.Name, func(t *testing.T) {
			conn := open(t, p, peer.Echo)
			sizes := []int{64, 125, 126, 128, 256, 64 << 10, 1 << 20}
			next := func() {
				if err := conn.Send(peer.Payload(sizes[0])); err != nil {
					t.Fatal(err)
				}
				if err := conn.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			next()
			// Its error is that of the connection, if messages are missing.
			err := conn.Receive(func(message []byte) error {
				if !bytes.Equal(message, peer.Payload(sizes[0])) {
					t.Errorf("another message of %d bytes came back, of %d", len(message), sizes[0])
				}
				if sizes = sizes[1:]; len(sizes) == 0 {
					return peer.ErrDone
				}
				next()
				return nil
			})
			if len(sizes) > 0 {
				t.Errorf("the message of %d bytes is missing: %v", sizes[0], err)
			}
		})
	}
}

// TestSource has every peer's server send, and count what it sends.
func TestSource(t *testing.T) {
	for _, p := range peer.All() {
		t.Run(p.Name, func(t *testing.T) {
			conn := open(t, p, peer.Source(256, time.Nanosecond))
			got, want := uint64(0), uint64(0)
			// Its error is that of the connection, if messages are missing.
			err := conn.Receive(func(message []byte) (err error) {
				if len(message) == 256 {
					got++
					return nil
				}
				if want, err = peer.ParseCount(message); err != nil {
					return err
				}
				return peer.ErrDone
			})
			if got == 0 || got != want {
				t.Errorf("%d messages came, of %d: %v", got, want, err)
			}
		})
	}
}

func open(t *testing.T, p peer.Peer, role []byte) peer.Conn {
	t.Helper()
	listener, err := p.Listen(peer.Serve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := p.Dial(t.Context(), listener.Addr(), peer.TCP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := conn.Send(role); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestPayload(t *testing.T) {
	for _, size := range []int{64, 256} {
		got := peer.Payload(size)
		if len(got) != size || !bytes.HasPrefix(got, []byte(`{"type":"command_results",`)) || !json.Valid(got) {
			t.Errorf("the payload of %d bytes is %q", size, got)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, p := range peer.All() {
		if found, ok := peer.Named(p.Name); !ok || found.Name != p.Name {
			t.Errorf("%s is not found", p.Name)
		}
	}
	if _, ok := peer.Named("nobody"); ok {
		t.Error("a peer that does not exist is found")
	}
}
