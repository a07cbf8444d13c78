package resilience_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// Protects: a peer that does not keep to the numbers loses its connection, and
// not its session: what it did right counts.
func TestPeerBreaksNumbering(t *testing.T) {
	for name, frame := range map[string]string{
		"gap":            `{"type":"task_end","status":"ok","seq":3,"ack":0}`,
		"missing number": `{"type":"task_end","status":"ok"}`,
		"false ack":      `{"type":"task_end","status":"ok","seq":2,"ack":1}`,
		"binary alone":   "",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.listen("server:80")
				at, confirmation, err := s.register(deviceNamed("device"), "")
				if err != nil {
					t.Fatal(err)
				}
				session := s.session().(*resilience.Session)
				received := make(chan error, 1)
				go func() {
					_, err := session.Receive(t.Context())
					if err == nil {
						_, err = session.Receive(t.Context())
					}
					received <- err
				}()
				frames, err := transport.As[transport.FrameTransport](at)
				if err != nil {
					t.Fatal(err)
				}
				good := transport.Frame{Kind: transport.Text, Data: []byte(`{"type":"task_end","status":"ok","seq":1,"ack":0}`)}
				bad := transport.Frame{Kind: transport.Text, Data: []byte(frame)}
				if frame == "" {
					bad.Kind = transport.Binary
				}
				if err := frames.SendFrames(t.Context(), good, bad); err != nil {
					t.Fatal(err)
				}
				if _, err := at.Receive(t.Context()); err == nil {
					t.Error("the connection goes on")
				}
				_ = at.Close() // It is lost.
				synctest.Wait()
				if session.State() != transport.Connecting {
					t.Errorf("the session is %s", session.State())
				}
				again, confirmation, err := s.register(deviceNamed("device"), answerOf(t, confirmation).ID)
				if err != nil {
					t.Fatal(err)
				}
				if a := answerOf(t, confirmation); !a.Resumed || a.RX != 1 {
					t.Errorf("the server answers resumed %t, rx %d", a.Resumed, a.RX)
				}
				closeAll(t, again)
				if err := <-received; !errors.Is(err, io.EOF) {
					t.Errorf("the session ended with %v", err)
				}
				closeAll(t, session)
			})
		})
	}
}

// Protects: numbers are the session's business: whoever receives sees frames as
// they were sent.
func TestNumbersAreNotReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, session, _ := memoryStage(t, nil)
		for _, text := range []string{`{}`, `{ "a" : 1 }`, `{"a":{"seq":5,"ack":7}}`, `{"type":"x","text":"\"seq\":1,\"ack\":2}"}`} {
			if err := l.Send(t.Context(), []byte(text)); err != nil {
				t.Fatal(err)
			}
			got, err := session.Receive(t.Context())
			if want := strings.TrimSpace(text); err != nil || strings.ReplaceAll(string(got), " ", "") != strings.ReplaceAll(want, " ", "") {
				t.Errorf("%s arrived as %s, %v", text, got, err)
			}
		}
		closeAll(t, l, session)
	})
}

// Protects: what arrived before the end of a connection is received before the
// interruption, also by a client that reads late.
func TestArrivedBeforeInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.plain = true
		s.listen("server:80")
		l := s.link(s.options("device"))
		server := s.session()
		sendNumbered(t, server, 1, 5)
		synctest.Wait()
		s.latest().Cut(io.ErrUnexpectedEOF)
		again := s.session()
		sendNumbered(t, again, 6, 7)
		synctest.Wait()
		expectNumbered(t, l, 1, 5)
		var interrupted *transport.InterruptedError
		if _, err := l.Receive(t.Context()); !errors.As(err, &interrupted) {
			t.Errorf("Receive: %v", err)
		}
		expectNumbered(t, l, 6, 7)
		_ = server.Close() // It is lost.
		closeAll(t, l, again)
	})
}
