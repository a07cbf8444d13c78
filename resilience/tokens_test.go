package resilience_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

// answered is what a server says of a session.
type answered struct {
	ID      string `json:"id"`
	Resumed bool   `json:"resumed"`
	RX      uint64 `json:"rx"`
}

// answerOf returns what a confirmation says of the session.
func answerOf(t testing.TB, confirmation *messages.ServerMessage) (a answered) {
	t.Helper()
	var result messages.Object
	if err := confirmation.Result.Decode(&result); err != nil {
		t.Fatal(err)
	}
	value, ok := result.Get(resilience.ResumeExtension)
	if !ok {
		t.Fatal("the server does not answer")
	}
	if err := value.Decode(&a); err != nil {
		t.Fatal(err)
	}
	return a
}

// tokens collects the tokens that a link is given.
type tokens struct {
	t   testing.TB
	mu  sync.Mutex
	all []string
}

func (k *tokens) connected(_ context.Context, c resilience.Connection) error {
	a := answerOf(k.t, c.Confirmation)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, a.ID)
	return nil
}

// latest returns the token that was given last.
func (k *tokens) latest() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.all[len(k.all)-1]
}

// register registers by hand, with a token.
func (s *stage) register(registration *messages.ClientMessage, token string) (transport.Transport, *messages.ServerMessage, error) {
	s.t.Helper()
	offer, err := messages.NewValue(map[string]any{resilience.ResumeExtension: map[string]any{
		"v": 1, "max_s": 120, "max_bytes": 8 << 20, "prev": token,
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	registration.Metadata = offer
	at, err := s.options("").Dial(s.t.Context(), "ws://server/ws")
	if err != nil {
		s.t.Fatal(err)
	}
	client, err := protocol.NewClient(at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	confirmation, err := protocol.Register(s.t.Context(), client, registration)
	return at, confirmation, err
}

func deviceNamed(id string) *messages.ClientMessage {
	return messages.NewDeviceRegistration(id, messages.PlatformLinux, messages.Value{})
}

// Protects: a token is good for whom it was given to, and for nobody else, and
// once: whoever has stolen it gets no session, and does not disturb the one that
// there is.
func TestStolenToken(t *testing.T) {
	for name, steal := range map[string]func(s *stage, k *tokens) *messages.ClientMessage{
		"by another client": func(*stage, *tokens) *messages.ClientMessage { return deviceNamed("thief") },
		"by another owner": func(s *stage, _ *tokens) *messages.ClientMessage {
			s.mu.Lock()
			s.owner = "mallory"
			s.mu.Unlock()
			return deviceNamed("device")
		},
		"in another role": func(*stage, *tokens) *messages.ClientMessage {
			m := deviceNamed("device")
			m.ClientType, m.TargetID = messages.Constellation, "target"
			return m
		},
		"for another target": func(*stage, *tokens) *messages.ClientMessage {
			m := deviceNamed("device")
			m.TargetID = "target"
			return m
		},
		"made up": func(_ *stage, k *tokens) *messages.ClientMessage {
			k.all = append(k.all, strings.Repeat("A", len(k.latest())))
			return deviceNamed("device")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.owner = "alice"
				s.listen("server:80")
				k := &tokens{t: t}
				o := s.options("device")
				o.Connected = k.connected
				l := s.link(o)
				session := s.session()
				at, confirmation, err := s.register(steal(s, k), k.latest())
				if err == nil && answerOf(t, confirmation).Resumed {
					t.Error("the stolen token was taken")
				}
				time.Sleep(time.Minute)
				if err := l.Send(t.Context(), numbered(1)); err != nil {
					t.Error(err)
				}
				expectNumbered(t, session, 1, 1)
				if n := len(s.registered); n != 2 {
					t.Errorf("%d registrations: the link was disturbed", n)
				}
				closeAll(t, l, session)
				_ = at.Close() // The server may have closed it.
				if err == nil {
					closeAll(t, s.session())
				}
			})
		})
	}
}

// Protects: a token that was replaced is of no use once the client has shown
// that it has the next one.
func TestReplayedToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		k := &tokens{t: t}
		o := s.options("device")
		o.Connected = k.connected
		l := s.link(o)
		session := s.session()
		old := k.latest()
		s.latest().Cut(nil)
		time.Sleep(time.Second)
		if k.latest() == old {
			t.Error("the token was not replaced")
		}
		if err := l.Send(t.Context(), numbered(1)); err != nil {
			t.Error(err)
		}
		expectNumbered(t, session, 1, 1)
		at, _, err := s.register(deviceNamed("device"), old)
		var refused *protocol.RegistrationError
		if !errors.As(err, &refused) {
			t.Errorf("the old token was taken: %v", err)
		}
		_ = at.Close() // The server has closed it.
		time.Sleep(time.Minute)
		if !l.IsConnected() || len(s.registered) != 3 {
			t.Error("the link was disturbed")
		}
		closeAll(t, l, session)
	})
}

// Protects: a token is good until the session's time is over and not longer;
// then both sides know that the session has ended.
func TestExpiredToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.restart(&resilience.ResumerOptions{Grace: 10 * time.Second})
		s.listen("server:80")
		k := &tokens{t: t}
		o := s.options("device")
		o.Connected = k.connected
		l := s.link(o)
		session := s.session()
		if err := l.Send(t.Context(), numbered(1)); err != nil {
			t.Fatal(err)
		}
		s.network.RefuseDials(true)
		s.latest().Cut(nil)
		start := time.Now()
		_, err := l.Receive(t.Context())
		if !errors.Is(err, resilience.ErrSessionLost) || time.Since(start) > 11*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		expectNumbered(t, session, 1, 1)
		if _, err := session.Receive(t.Context()); err == nil || time.Since(start) > 11*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		closeAll(t, session, l)
		s.network.RefuseDials(false)
		at, confirmation, err := s.register(deviceNamed("device"), k.latest())
		if err != nil || answerOf(t, confirmation).Resumed {
			t.Errorf("the expired token was taken, or %v", err)
		}
		closeAll(t, at, s.session())
	})
}

// Protects: a client whose server's answer is lost has the old token, and
// resumes with that.
func TestLostRegistrationReply(t *testing.T) {
	for _, how := range []string{"cut", "black hole", "stall"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.listen("server:80")
				o := s.options("device")
				o.RegistrationTimeout = 2 * time.Second
				l := s.link(o)
				session := s.session()
				lose := 2
				s.answering = func() {
					if lose--; lose < 0 {
						return
					}
					switch link := s.latest(); how {
					case "cut":
						link.CutAfter(transporttest.ToClient, link.Written(transporttest.ToClient)+10, nil)
					case "black hole":
						link.BlackHole(transporttest.ToClient)
					case "stall":
						link.Stall(transporttest.ToClient)
					}
				}
				if err := l.Send(t.Context(), numbered(1)); err != nil {
					t.Fatal(err)
				}
				s.latest().Cut(nil)
				expectNumbered(t, session, 1, 1)
				time.Sleep(time.Minute)
				if !l.IsConnected() || !session.IsConnected() || len(s.registered) != 4 {
					t.Errorf("link: %s, session: %s, %d registrations", l.State(), session.State(), len(s.registered))
				}
				if err := session.Send(t.Context(), numbered(2)); err != nil {
					t.Error(err)
				}
				expectNumbered(t, l, 2, 2)
				closeAll(t, l, session)
			})
		})
	}
}

// Protects: a second client with the same id is refused, and the two do not
// take the session from each other in turns.
func TestSecondClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.listen("server:80")
		l := s.link(s.options("device"))
		session := s.session()
		o := s.options("device")
		o.RetryFirst = true
		o.Strategy = nil
		second, err := resilience.NewLink(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		var refused *protocol.RegistrationError
		if err := second.Connect(ctx, "ws://server/ws"); !errors.As(err, &refused) {
			t.Errorf("Connect: %v", err)
		}
		if err := l.Send(t.Context(), numbered(1)); err != nil {
			t.Error(err)
		}
		expectNumbered(t, session, 1, 1)
		if n := len(s.network.Links()); n != len(s.registered) || !l.IsConnected() {
			t.Errorf("%d connections, %d registrations, link: %s", n, len(s.registered), l.State())
		}
		closeAll(t, second, l, session)
	})
}

// Protects: tokens are in no line of a log, and in no error, however it is
// printed.
func TestTokensAreSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(&log)), zap.DebugLevel))
		var mu sync.Mutex
		var said []string
		say := func(v any) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprintf("%v %+v %#v", v, v, v))
			if text, err := json.Marshal(v); err == nil {
				said = append(said, string(text))
			}
		}
		s := newStage(t)
		s.restart(&resilience.ResumerOptions{Logger: logger, Grace: 30 * time.Second})
		s.listen("server:80")
		k := &tokens{t: t}
		o := s.options("device")
		o.Connected, o.Logger, o.RegistrationTimeout = k.connected, logger, time.Second
		o.Lost = func(err error) { say(err) }
		o.Attempts.Observe = func(e resilience.AttemptEvent) { say(e); say(e.Err) }
		l := s.link(o)
		session := s.session()
		for round := range 6 {
			// It may still be on its way back from the last round.
			if err := l.Send(transport.WithDelivery(t.Context(), transport.Buffered), numbered(round)); err != nil {
				t.Fatal(err)
			}
			switch round {
			case 0:
				s.latest().Cut(nil)
			case 1:
				l.Drop(errCut)
			case 2: // The registration and its answer are lost at different places.
				s.dialled = func(n int, link *transporttest.Link) {
					if n < 60 {
						link.CutAfter(transporttest.Directions[n%2], int64(n*16), errCut)
					}
				}
				s.latest().Cut(nil)
			case 3:
				_, _, err := s.register(deviceNamed("device"), k.all[0])
				say(err)
			case 4:
				s.restart(&resilience.ResumerOptions{Logger: logger})
				s.latest().Cut(nil)
			}
			time.Sleep(20 * time.Second)
		}
		_, err := l.Receive(t.Context())
		say(err)
		if !errors.Is(err, resilience.ErrSessionLost) {
			t.Errorf("Receive: %v", err)
		}
		l.Abort(errCut)
		say(l.WaitClosed(t.Context()))
		say(l.Send(t.Context(), numbered(0)))
		time.Sleep(3 * time.Minute)
		say(session.WaitClosed(t.Context()))
		closeAll(t, l, session, s.session())
		for _, err := range s.failures {
			say(err)
		}
		if len(k.all) < 4 || log.Len() == 0 {
			t.Fatalf("%d tokens, %d bytes of log", len(k.all), log.Len())
		}
		for _, token := range k.all {
			if strings.Contains(log.String(), token) {
				t.Error("a token is in the log")
			}
			for _, text := range said {
				if strings.Contains(text, token) {
					t.Errorf("a token is in %s", text)
				}
			}
		}
	})
}
