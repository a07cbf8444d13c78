package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestClientsArePrincipals: a client registers only as what its principal may,
// and learns nothing but that it may not: not even whether the id is taken.
func TestClientsArePrincipals(t *testing.T) {
	match := func(id string, role messages.ClientType) bool { return id == "odd" && role == messages.Constellation }
	for name, test := range map[string]struct {
		p  *Principal
		m  object
		ok bool
	}{
		"own name":                      {&Principal{Name: "dev"}, register("dev"), true},
		"foreign id":                    {&Principal{Name: "dev"}, register("taken"), false},
		"foreign id that is free":       {&Principal{Name: "dev"}, register("free"), false},
		"part of the name":              {&Principal{Name: "dev"}, register("de"), false},
		"more than the name":            {&Principal{Name: "dev"}, register("dev@x"), false},
		"other case":                    {&Principal{Name: "dev"}, register("DEV"), false},
		"foreign role":                  {&Principal{Name: "dev"}, constellationOf("dev", ""), false},
		"device of a constellation":     {&Principal{Name: "con", Roles: constellationRole}, register("con"), false},
		"constellation":                 {&Principal{Name: "con", Roles: constellationRole}, constellationOf("con", ""), true},
		"constellation per device":      {&Principal{Name: "con", Roles: constellationRole}, constellationOf("con@taken", "taken"), true},
		"constellation of another":      {&Principal{Name: "con", Roles: constellationRole}, constellationOf("conx@taken", "taken"), false},
		"one of several":                {&Principal{Name: "x", ClientIDs: []string{"a", "b"}}, register("b"), true},
		"none of several":               {&Principal{Name: "x", ClientIDs: []string{"a", "b"}}, register("x"), false},
		"prefix":                        {&Principal{Name: "x", ClientIDs: []string{"site-*"}}, register("site-7"), true},
		"other prefix":                  {&Principal{Name: "x", ClientIDs: []string{"site-*"}}, register("xsite-7"), false},
		"prefix, wrong role":            {&Principal{Name: "x", ClientIDs: []string{"*"}}, constellationOf("x", ""), false},
		"function":                      {&Principal{Name: "x", Match: match}, constellationOf("odd", ""), true},
		"function refuses":              {&Principal{Name: "odd", Match: match}, register("odd"), false},
		"foreign id and unknown target": {&Principal{Name: "con", Roles: constellationRole}, constellationOf("x", "ghost"), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
				taken := server.registered(anyone("victim"), register("taken"))
				p, result := server.as(test.p)
				p.send(test.m)
				if test.ok {
					p.expect(object{"type": "heartbeat", "status": "ok"})
					last := r.of(EventRegistered)[1]
					if clients := server.Clients(); len(clients) != 2 || last.Principal != test.p.Name {
						t.Errorf("%d clients, observed %+v", len(clients), last)
					}
					return
				}
				if text := p.expectRefusal(); text != notAuthorized {
					t.Errorf("the refusal is %q", text)
				}
				if err := <-result; !isRefused(err, ErrNotAuthorized) {
					t.Errorf("Serve returned %v", err)
				}
				if rejected := r.of(EventRejected); len(rejected) != 1 || !errors.Is(rejected[0].Err, ErrNotAuthorized) || rejected[0].Principal != test.p.Name {
					t.Errorf("observed %+v", rejected)
				}
				if n := len(server.Clients()); n != 1 {
					t.Errorf("%d clients are registered", n)
				}
				stillOpen(taken)
			})
		})
	}
}

// TestHalfOpenTakeover: who comes anew under the id of a client that has lost its
// connection takes its place on behalf of the same principal, and of no other;
// while the client is connected nobody does.
func TestHalfOpenTakeover(t *testing.T) {
	for name, test := range map[string]struct {
		cut  bool
		by   string
		want bool
	}{
		"lost, same principal":         {true, "owner", true},
		"lost, another principal":      {true, "thief", false},
		"connected, same principal":    {false, "owner", false},
		"connected, another principal": {false, "thief", false},
	} {
		for _, session := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, session %t", name, session), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &recorder{}
					server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
					old, _ := server.as(anyone("owner"))
					old.send(offering("dev", "device", "", ""))
					token, _ := old.joined()
					synctest.Wait()
					if test.cut {
						old.tr.(transport.Aborter).Abort(errCut)
						synctest.Wait()
					}
					p, _ := server.as(anyone(test.by))
					registration := register("dev")
					if session {
						registration = offering("dev", "device", "", "")
					}
					p.send(registration)
					if test.want {
						p.expect(object{"type": "heartbeat", "status": "ok"})
						return
					}
					if text := p.expectRefusal(); !strings.Contains(text, "already registered") {
						t.Errorf("the refusal is %q", text)
					}
					if n := len(r.of(EventDisconnected)); n != 0 {
						t.Errorf("%d clients were disconnected", n)
					}
					// The owner's session is as it was.
					if test.cut {
						old, _ = server.as(anyone("owner"))
						old.send(offering("dev", "device", "", token))
						if _, resumed := old.joined(); !resumed {
							t.Error("the session is lost")
						}
					}
				})
			})
		}
	}
}

// TestStolenTokenUnderOtherCredentials: the token of a session is worth nothing
// to another principal, also if that may register under the same id.
func TestStolenTokenUnderOtherCredentials(t *testing.T) {
	for _, lost := range []bool{false, true} {
		for _, thief := range []*Principal{anyone("thief"), {Name: "dev2"}, nil} {
			t.Run(fmt.Sprintf("%v, lost %t", thief.owner(), lost), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := startServer(t, &ServerOptions{Handler: noTasks})
					owner, _ := server.as(anyone("owner"))
					owner.send(offering("dev", "device", "", ""))
					token, _ := owner.joined()
					synctest.Wait()
					if lost {
						owner.tr.(transport.Aborter).Abort(errCut)
						synctest.Wait()
					}
					p, _ := server.as(thief)
					p.send(offering("dev", "device", "", token))
					p.expectRefusal()
					again, _ := server.as(anyone("owner"))
					again.send(offering("dev", "device", "", token))
					if _, resumed := again.joined(); !resumed {
						t.Error("the session is lost")
					}
				})
			})
		}
	}
}

// TestNoPingPong: two live clients of one id and one principal do not take the
// place from each other, however often they try.
func TestNoPingPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
		first := server.registered(&Principal{Name: "dev"}, register("dev"))
		for range 50 {
			second, _ := server.as(&Principal{Name: "dev"})
			second.send(register("dev"))
			second.expectRefusal()
			<-time.After(time.Second)
		}
		stillOpen(first)
		if a, b := len(r.of(EventRegistered)), len(r.of(EventDisconnected)); a != 1 || b != 0 {
			t.Errorf("%d registered, %d disconnected", a, b)
		}
	})
}

// TestRememberedEndsHaveAnOwner: how a task ended is told again only to the
// principal that had asked for it, and its commands have other ids for others.
func TestRememberedEndsHaveAnOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		var ids []string
		server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			runs++
			_, err := task.Do(ctx, messages.Command{ToolName: "x", ToolType: messages.ToolAction})
			return fmt.Sprint("secret ", runs), err
		}})
		device := server.registered(anyone("d"), register("dev"))
		for i, name := range []string{"owner", "owner", "thief"} {
			p := server.registered(anyone(name), constellationOf("con", ""))
			p.send(object{
				"type": "task", "status": "continue", "client_type": "constellation", "target_id": "dev",
				"session_id": "s", "request_id": "q", "request": "work",
			})
			if i != 1 {
				ids = append(ids, fmt.Sprint(device.answerCommand("done")["response_id"]))
				device.expect(object{"type": "task_end"})
			}
			p.expect(object{"type": "heartbeat", "session_id": "s"})
			want := "secret 1"
			if name == "thief" {
				want = "secret 2"
			}
			p.expect(object{"type": "task_end", "result": want})
			p.close()
			synctest.Wait()
		}
		if len(ids) != 2 || ids[0] == ids[1] {
			t.Errorf("the commands are %q", ids)
		}
	})
}

// TestIDsAreNames: what a client calls itself and others is short, and has no
// control characters, so that it makes no second line in a log or a header.
func TestIDsAreNames(t *testing.T) {
	long := strings.Repeat("x", 257)
	registrations := map[string]object{
		"long id":             register(long),
		"CRLF in id":          register("dev\r\nX-Evil: 1"),
		"NUL in id":           register("dev\x00"),
		"escape in id":        register("dev\x1b[2J"),
		"C1 control in id":    register("dev\u0085"),
		"line separator":      register("dev\u2028"),
		"long target":         constellationOf("con", long),
		"CRLF in target":      constellationOf("con", "dev\r\n"),
		"long platform":       {"type": "register", "status": "ok", "client_id": "dev", "metadata": object{"platform": long}},
		"newline in platform": {"type": "register", "status": "ok", "client_id": "dev", "metadata": object{"platform": "linux\n"}},
	}
	for name, m := range registrations {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &recorder{}
				server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
				p, result := server.connectResult()
				p.send(m)
				if text := p.expectRefusal(); text != invalidID {
					t.Errorf("the refusal is %q", text)
				}
				if err := <-result; !isRefused(err, ErrInvalidID) {
					t.Errorf("Serve returned %v", err)
				}
				if e := r.of(EventRejected); len(e) != 1 || e[0].ClientID != "" {
					t.Errorf("observed %+v", e)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{}
		server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe})
		server.device(strings.Repeat("ä", 128)) // 256 bytes
		p := server.constellation("con", "")
		for _, bad := range []string{"s\r\nforged line", strings.Repeat("x", 1025)} {
			for _, field := range []string{"session_id", "request_id", "target_id"} {
				m := object{
					"type": "task", "status": "continue", "client_type": "constellation", "target_id": "dev",
					"session_id": "s", "request_id": "q", "request": "work", "task_name": "../a\nb",
				}
				m[field] = bad
				p.send(m)
				p.expect(object{"type": "error", "error": invalidID})
				p.expect(object{"type": "task_end", "status": "failed", "error": invalidID})
				refused := r.of(EventTaskRefused)
				e := refused[len(refused)-1]
				if !errors.Is(e.Err, ErrInvalidID) || e.SessionID == bad || e.DeviceID == bad || e.TaskName != "_a_b" {
					t.Errorf("%s: observed %+v", field, e)
				}
			}
		}
	})
}
