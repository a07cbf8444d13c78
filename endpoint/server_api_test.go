package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// call asks the API of a server.
func (s *testServer) call(method, path, body string, header ...string) (int, object) {
	s.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.API().ServeHTTP(w, r)
	if w.Header().Get("Content-Type") != "application/json" {
		return w.Code, nil
	}
	return w.Code, parse(s.t, w.Body.String())
}

// Protects: a task given over HTTP: the device takes it on, and its result is
// there for a while (spec section 4, defects D1 and D30).
func TestDispatchOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan struct{})
		server := startServer(t, &ServerOptions{Handler: func(ctx context.Context, task *Task) (any, error) {
			<-done
			if task.Request == "fail" {
				return nil, errors.New("it did not work")
			}
			return "did " + task.Request, nil
		}})
		device := server.device("dev")
		dispatch := func(name, request string) object {
			answer := make(chan object, 1)
			go func() {
				code, m := server.call("POST", "/api/dispatch", fmt.Sprintf(`{"client_id":"dev","request":%q,"task_name":%q}`, request, name))
				if code != http.StatusOK {
					t.Errorf("dispatch answered %d, %v", code, m)
				}
				answer <- m
			}()
			m := device.expect(object{"type": "task", "task_name": name, "user_request": request})
			device.send(object{"type": "task", "status": "continue", "client_type": "device", "client_id": "dev", "session_id": m["session_id"], "task_name": name, "request": request})
			device.expect(object{"type": "heartbeat", "session_id": m["session_id"]})
			return <-answer
		}
		m := dispatch("one", "work")
		if m["status"] != "dispatched" || m["task_name"] != "one" || m["client_id"] != "dev" || m["session_id"] == "" {
			t.Errorf("dispatch answered %v", m)
		}
		if code, m := server.call("GET", "/api/task_result/one", ""); code != 200 || m["status"] != "pending" {
			t.Errorf("the result is %d, %v", code, m)
		}
		close(done)
		device.expect(object{"type": "task_end", "status": "completed"})
		synctest.Wait()
		if code, m := server.call("GET", "/api/task_result/one", ""); code != 200 || m["status"] != "done" || m["result"] != "did work" || m["error"] != nil {
			t.Errorf("the result is %d, %v", code, m)
		}
		dispatch("two", "fail")
		device.expect(object{"type": "task_end", "status": "failed"})
		synctest.Wait()
		if _, m := server.call("GET", "/api/task_result/two", ""); m["task_status"] != "failed" || m["error"] == nil {
			t.Errorf("the result is %v", m)
		}
		time.Sleep(defaultResultAge + time.Second)
		if code, m := server.call("GET", "/api/task_result/one", ""); code != http.StatusNotFound {
			t.Errorf("the result is %d, %v", code, m)
		}
	})
}

// Protects: the answers of the reference to requests that are wrong.
func TestDispatchRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: recordedHandler})
		device := server.device("dev")
		server.constellation("con", "dev")
		for body, want := range map[string]int{
			`{"client_id":"","request":"  "}`:                                                               http.StatusBadRequest,
			`{"client_id":"","request":"work"}`:                                                             http.StatusBadRequest,
			`{"client_id":"dev","request":"work","task_name":""}`:                                           http.StatusBadRequest,
			`{"client_id":"dev","request":"work","task_name":"../../etc"}`:                                  http.StatusBadRequest,
			`{"client_id":"dev","request":"work","task_name":".hidden"}`:                                    http.StatusBadRequest,
			`{"client_id":"dev","request":"work","task_name":"` + strings.Repeat("x", maxTaskName+1) + `"}`: http.StatusBadRequest,
			`{"client_id":"dev","request":"work","task_name":7}`:                                            http.StatusUnprocessableEntity,
			`{"client_id":"none","request":"work"}`:                                                         http.StatusNotFound,
			`{"client_id":"con","request":"work"}`:                                                          http.StatusNotFound,
			`[]`:                                                                                            http.StatusUnprocessableEntity,
			`null`:                                                                                          http.StatusUnprocessableEntity,
			``:                                                                                              http.StatusUnprocessableEntity,
			`{"client_id":"dev","request":"` + strings.Repeat("x", maxAPIBody) + `"}`: http.StatusRequestEntityTooLarge,
		} {
			code, m := server.call("POST", "/api/dispatch", body)
			if code != want || m["detail"] == nil {
				t.Errorf("%.60s: %d, %v; want %d", body, code, m, want)
			}
		}
		if code, _ := server.call("GET", "/api/dispatch", ""); code != http.StatusMethodNotAllowed {
			t.Errorf("GET was answered with %d", code)
		}
		// A device that does not take it on.
		start := time.Now()
		code, m := server.call("POST", "/api/dispatch", `{"client_id":"dev","request":"work"}`)
		if code != http.StatusGatewayTimeout || time.Since(start) != dispatchTimeout {
			t.Errorf("answered %d, %v after %v", code, m, time.Since(start))
		}
		device.expect(object{"type": "task"})
		if code, m := server.call("GET", "/api/clients", ""); code != 200 || fmt.Sprint(m["online_clients"]) != "[con dev]" {
			t.Errorf("the clients are %d, %v", code, m)
		}
		if code, m := server.call("GET", "/api/health", ""); code != 200 || m["status"] != "healthy" {
			t.Errorf("the health is %d, %v", code, m)
		}
	})
}

// Protects: the API from those without the key.
func TestAPIKey(t *testing.T) {
	server := startServer(t, &ServerOptions{Handler: recordedHandler, Token: "sécret", Limits: &Limits{FailuresPerMinute: -1}})
	for _, header := range [][]string{nil, {"X-API-Key", "wrong"}, {"X-API-Key", ""}, {"Authorization", "Bearer wrong"}, {"Authorization", "Basic sécret"}} {
		for _, path := range []string{"/api/clients", "/api/health", "/api/task_result/x", "/api/none"} {
			if code, m := server.call("GET", path, "", header...); code != http.StatusUnauthorized || m["detail"] != "Invalid API key" {
				t.Errorf("%s with %q: %d, %v", path, header, code, m)
			}
		}
	}
	for _, header := range [][]string{{"X-API-Key", "sécret"}, {"Authorization", "bearer sécret"}} {
		if code, _ := server.call("GET", "/api/health", "", header...); code != 200 {
			t.Errorf("%q: %d", header, code)
		}
	}
}

// Protects: the memory for outcomes.
func TestOutcomesAreBounded(t *testing.T) {
	k := outcomes{age: time.Hour}
	for i := range 2 * maxOutcomes {
		k.add(TaskOutcome{TaskName: fmt.Sprint(i), Ended: time.Now()})
	}
	if _, ok := k.find("0"); ok || len(k.list) != maxOutcomes {
		t.Errorf("%d are kept", len(k.list))
	}
	large := messages.TrustedValue([]byte(`"` + strings.Repeat("x", maxOutcomeSize) + `"`))
	k.add(TaskOutcome{TaskName: "large", Result: large, Ended: time.Now()})
	if o, ok := k.find("large"); !ok || !o.Result.IsZero() || o.Error != errOutcomeSize {
		t.Errorf("kept is %+v", o)
	}
	fits := messages.TrustedValue([]byte(`"` + strings.Repeat("x", maxOutcomeSize-2) + `"`))
	for i := range 100 {
		k.add(TaskOutcome{TaskName: fmt.Sprint("fits", i), Result: fits, Ended: time.Now()})
	}
	if k.bytes > maxOutcomeSum || len(k.list) > 64 {
		t.Errorf("%d bytes are kept in %d", k.bytes, len(k.list))
	}
	off := outcomes{age: -1}
	off.add(TaskOutcome{TaskName: "x"})
	if _, ok := off.find("x"); ok {
		t.Error("an outcome was kept")
	}
}
