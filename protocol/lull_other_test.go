package protocol

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestNoLullAmongOthers: where binary messages, or such as are invalid, come
// between the replies, Run goes on reading.
func TestNoLullAmongOthers(t *testing.T) {
	others := map[string]func(*Server) error{
		"binary":  func(s *Server) error { return s.SendBinary(context.Background(), []byte("x"), nil) },
		"invalid": func(s *Server) error { return s.SendRaw(context.Background(), []byte(`{"type":"x"}`)) },
		"message": func(s *Server) error { return s.Send(context.Background(), message(1)) },
	}
	for name, send := range others {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := asker(t, nil)
				running(t, s)
				running(t, c)
				l := &lulled{t: t, c: c, s: s}
				for range 4 * calm {
					l.call()
					if l.begun() {
						t.Fatal("there is a lull")
					}
					must(t, send(s))
					synctest.Wait()
				}
			})
		})
	}
}
