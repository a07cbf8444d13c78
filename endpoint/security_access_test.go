package endpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aip-go/aip/messages"
)

var errSecretReason = errors.New("the reason is secret")

// TestAuthorize: what the user's function refuses is refused, in the same words
// whether the device is there or not, and the client is not told why.
func TestAuthorize(t *testing.T) {
	constellation := func(m object) object {
		m["client_type"], m["status"] = "constellation", "continue"
		return m
	}
	for name, test := range map[string]struct {
		device bool // asks, else the constellation
		m      object
		action Action
		target string
	}{
		"task":                  {false, constellation(object{"type": "task", "session_id": "s", "target_id": "dev", "request": "x"}), ActionTask, "dev"},
		"task, not there":       {false, constellation(object{"type": "task", "session_id": "s", "target_id": "ghost", "request": "x"}), ActionTask, "ghost"},
		"own task":              {true, object{"type": "task", "status": "continue", "session_id": "s", "request": "x"}, ActionTask, "dev"},
		"device info":           {false, constellation(object{"type": "device_info_request", "request_id": "q", "target_id": "dev"}), ActionDeviceInfo, "dev"},
		"no such device's info": {false, constellation(object{"type": "device_info_request", "request_id": "q", "target_id": "ghost"}), ActionDeviceInfo, "ghost"},
	} {
		for _, panics := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, panic %t", name, panics), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var asked []Access
					r := &recorder{}
					server := startServer(t, &ServerOptions{Handler: noTasks, Observer: r.observe, Authorize: func(_ context.Context, a Access) error {
						asked = append(asked, a)
						if panics {
							panic(errSecretReason)
						}
						return errSecretReason
					}})
					device := server.registered(&Principal{Name: "dev"}, register("dev"))
					p := server.registered(anyone("boss"), constellationOf("con", ""))
					who, principal := "con", "boss"
					if test.device {
						p, who, principal = device, "dev", "dev"
					}
					p.send(test.m)
					p.expect(object{"type": "error", "error": notAuthorized})
					kind := EventRefused
					if test.action == ActionTask {
						kind = EventTaskRefused
						p.expect(object{"type": "task_end", "status": "failed", "session_id": "s", "error": notAuthorized})
					}
					stillOpen(p)
					if len(asked) != 1 || asked[0].Action != test.action || asked[0].DeviceID != test.target ||
						asked[0].Requester.ID != who || asked[0].Requester.Principal != principal {
						t.Errorf("asked for %+v", asked)
					}
					e := r.of(kind)
					if len(e) != 1 || !errors.Is(e[0].Err, ErrNotAuthorized) || errors.Is(e[0].Err, errSecretReason) == panics {
						t.Errorf("observed %+v", e)
					}
				})
			})
		}
	}
}

// TestAuthorizeTarget: a constellation cannot find out by its registration
// whether a device that it may not use is there.
func TestAuthorizeTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Authorize: func(_ context.Context, a Access) error {
			if a.Action == ActionTarget && a.DeviceID == "mine" {
				return nil
			}
			return errSecretReason
		}})
		server.device("dev")
		server.device("mine")
		for _, target := range []string{"dev", "ghost"} {
			p, result := server.connectResult()
			p.send(constellationOf("con", target))
			if text := p.expectRefusal(); text != notAuthorized {
				t.Errorf("the refusal is %q", text)
			}
			if err := <-result; !isRefused(err, ErrNotAuthorized) {
				t.Errorf("Serve returned %v", err)
			}
		}
		server.constellation("con", "mine")
		server.constellation("free", "")
	})
}

// TestRulesStayInForce: an Authorize that allows everything does not let anyone
// do what the protocol's rules forbid (spec section 5.7, 5.12).
func TestRulesStayInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Authorize: func(context.Context, Access) error { return nil }})
		device := server.device("dev")
		server.device("other")
		bound := server.constellation("con", "dev")
		free := server.constellation("free", "")
		task := func(p *peer, role, target string) {
			t.Helper()
			p.send(object{"type": "task", "status": "continue", "client_type": role, "session_id": "s", "target_id": target, "request": "x"})
			p.expect(object{"type": "error", "session_id": "s"})
			p.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
		}
		task(device, "device", "other")
		task(bound, "constellation", "other")
		task(bound, "constellation", "")
		task(free, "constellation", "con")
		task(free, "constellation", "ghost")
		for _, p := range []*peer{device, bound} {
			role := "device"
			if p == bound {
				role = "constellation"
			}
			p.send(object{"type": "device_info_request", "status": "ok", "client_type": role, "request_id": "q", "target_id": "other"})
			p.expect(object{"type": "error"})
		}
	})
}

// TestForgedResults: only the device that runs a command answers it, and only as
// that command of that session: not the requester, another device, the same
// device under another principal's session, or a wrong response id.
func TestForgedResults(t *testing.T) {
	forged := func(command object, change object) object {
		m := object{
			"type": "command_results", "status": "continue", "session_id": command["session_id"],
			"prev_response_id": command["response_id"],
			"action_results":   []any{object{"status": "success", "result": "forged"}},
		}
		for key, value := range change {
			m[key] = value
		}
		return m
	}
	for name, test := range map[string]struct {
		by     string
		change object
	}{
		"the requester":            {"con", object{"client_type": "constellation"}},
		"another device":           {"other", nil},
		"another device, spoofing": {"other", object{"client_id": "dev"}},
		"another session":          {"dev", object{"session_id": "t"}},
		"another response":         {"dev", object{"prev_response_id": "forged"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := startServer(t, &ServerOptions{Handler: commanding(1)})
				peers := map[string]*peer{"dev": server.device("dev"), "other": server.device("other"), "con": server.constellation("con", "dev")}
				peers["con"].task("dev", "s", "work")
				peers["con"].expect(object{"type": "heartbeat", "session_id": "s"})
				command := peers["dev"].expect(object{"type": "command"})
				peers[test.by].send(forged(command, test.change))
				synctest.Wait()
				peers["dev"].answer(command, "genuine")
				for {
					m := peers["con"].receive()
					if m["type"] != "task_end" {
						continue // An error for the forger.
					}
					if text := fmt.Sprint(m["result"]); m["status"] != "completed" || strings.Contains(text, "forged") {
						t.Errorf("the end is %v", m)
					}
					return
				}
			})
		})
	}
}

// TestRolesOfPrincipals: the zero value has the least power.
func TestRolesOfPrincipals(t *testing.T) {
	if p := (&Principal{Name: "x", ClientIDs: []string{"*"}}); !p.mayRegister("y", messages.Device) || p.mayRegister("y", messages.Constellation) || p.API {
		t.Error("a principal without roles is more than a device")
	}
	given := &Principal{Name: "x", ClientIDs: []string{"a"}, Roles: slices.Clone(deviceRole)}
	kept, _ := WithPrincipal(context.Background(), given).Value(principalKey{}).(*Principal)
	given.ClientIDs[0], given.Roles[0] = "b", messages.Constellation
	if kept.mayRegister("b", messages.Constellation) || !kept.mayRegister("a", messages.Device) {
		t.Error("a principal can be changed after its use")
	}
}

// TestPanickingMatch: a principal's Match that fails is a refusal, and not the end
// of the program.
func TestPanickingMatch(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: noTasks})
	p, result := server.as(&Principal{Name: "me", Match: func(string, messages.ClientType) bool { panic(errSecretReason) }})
	p.send(register("dev"))
	if text := p.expectRefusal(); text != notAuthorized {
		t.Errorf("the refusal is %q", text)
	}
	if err := <-result; !isRefused(err, ErrNotAuthorized) {
		t.Errorf("Serve returned %v", err)
	}
}

// TestAuthorizeSeesNames: what is asked about is a name when Authorize sees it.
func TestAuthorizeSeesNames(t *testing.T) {
	asked := 0
	server := startServer(t, &ServerOptions{Handler: noTasks, Authorize: func(context.Context, Access) error { asked++; return nil }})
	p := server.constellation("con", "")
	for _, target := range []string{"x\nfake line", strings.Repeat("x", maxClientID+1)} {
		p.send(object{"type": "device_info_request", "status": "ok", "client_type": "constellation", "request_id": "q", "target_id": target})
		p.expect(object{"type": "error", "error": invalidID})
	}
	stillOpen(p)
	if asked != 0 {
		t.Errorf("Authorize was asked %d times", asked)
	}
}
