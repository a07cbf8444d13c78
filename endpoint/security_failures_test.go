package endpoint

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// knock asks for a WebSocket, or for the API, from an address, with a token; ""
// shows none. It returns the status and the header Retry-After in seconds. There
// is no upgrade, which the right token has 426 for.
func (s *testServer) knock(address, token string, api bool) (code, after int) {
	s.t.Helper()
	path, handler := "/ws", http.Handler(s.Server)
	if api {
		path, handler = "/api/clients", s.API()
	}
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = address
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if value := w.Header().Get("Retry-After"); value != "" {
		var err error
		if after, err = strconv.Atoi(value); err != nil {
			s.t.Errorf("Retry-After is %q", value)
		}
	}
	return w.Code, after
}

// TestGuessing: an attacker who guesses, over both ways in and for an hour, has
// few guesses, and is told when the next one is; it does not get in with the
// right token meanwhile. Others do not notice.
func TestGuessing(t *testing.T) {
	for name, options := range map[string]func(asked *atomic.Int64) ServerOptions{
		"token": func(*atomic.Int64) ServerOptions { return ServerOptions{Token: "right"} },
		"authenticator": func(asked *atomic.Int64) ServerOptions {
			find := tokens(t, map[string]Principal{"right": {Name: "dev", API: true}})
			return ServerOptions{Authenticate: func(r *http.Request) (*Principal, error) {
				asked.Add(1)
				return find(r)
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				r := &recorder{}
				o := options(&asked)
				o.Handler, o.Observer = noTasks, r.observe
				server := startServer(t, &o)
				const attacker, neighbour = "10.0.0.1:1", "10.0.0.2:1"
				guesses, slowed := 0, 0
				for i := range 3600 {
					code, after := server.knock(attacker, fmt.Sprint("guess", i), i%2 == 1)
					switch code {
					case http.StatusForbidden, http.StatusUnauthorized:
						guesses++
					case http.StatusTooManyRequests:
						slowed++
						if after < 1 || after > 6 {
							t.Fatalf("Retry-After is %d", after)
						}
					default:
						t.Fatalf("got %d", code)
					}
					if i%100 == 0 {
						if code, _ := server.knock(neighbour, "right", false); code != http.StatusUpgradeRequired {
							t.Errorf("a neighbour got %d", code)
						}
					}
					<-time.After(time.Second)
				}
				if guesses < 600 || guesses > 610 || slowed != 3600-guesses {
					t.Errorf("%d guesses in an hour", guesses)
				}
				if n := asked.Load(); o.Authenticate != nil && n != int64(guesses+36) {
					t.Errorf("the Authenticator was asked %d times for %d guesses", n, guesses)
				}
				for { // To just after a guess.
					code, after := server.knock(attacker, "wrong", false)
					if code != http.StatusTooManyRequests {
						break
					}
					<-time.After(time.Duration(after) * time.Second)
				}
				if code, _ := server.knock(attacker, "right", false); code != http.StatusTooManyRequests {
					t.Errorf("the right token got %d", code)
				}
				<-time.After(time.Minute)
				if code, _ := server.knock(attacker, "right", true); code != http.StatusOK {
					t.Errorf("after a minute the right token got %d", code)
				}
				often := 0
				for _, e := range r.of(EventRejected) {
					if errors.Is(e.Err, ErrTooManyFailures) {
						often++
					}
				}
				if often == 0 {
					t.Error("the events do not tell of it")
				}
			})
		})
	}
}

// TestGuessingAtOnce: many guesses at the same moment are made up for, by a
// minute at most.
func TestGuessingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: func(*http.Request) (*Principal, error) {
			<-hold
			return nil, ErrForbidden
		}})
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() { server.knock("10.0.0.1:1", "guess", false) })
		}
		synctest.Wait()
		close(hold)
		all.Wait()
		start := time.Now()
		for {
			if code, _ := server.knock("10.0.0.1:1", "guess", false); code != http.StatusTooManyRequests {
				break
			}
			<-time.After(time.Second)
		}
		if took := time.Since(start); took < time.Minute || took > 67*time.Second {
			t.Errorf("the next guess was possible after %v", took)
		}
	})
}

// TestWhatIsNoGuess: neither right credentials nor none at all are held against an
// address; wrong ones are in each place where they can be, whatever the
// Authenticator calls them.
func TestWhatIsNoGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: FirstOf(
			tokens(t, map[string]Principal{"right": {Name: "dev", API: true}}),
		)})
		for _, token := range []string{"right", ""} {
			for range 100 {
				for _, api := range []bool{false, true} {
					if code, _ := server.knock("10.0.0.1:1", token, api); code == http.StatusTooManyRequests {
						t.Fatalf("%q is slowed down", token)
					}
				}
			}
		}
		shy := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: func(*http.Request) (*Principal, error) { return nil, ErrUnauthenticated }})
		for i, show := range []func(*http.Request){
			func(r *http.Request) { r.URL.RawQuery = "token=x" },
			func(r *http.Request) { r.Header.Set("Authorization", "Basic x") },
			func(r *http.Request) { r.Header.Set("X-API-Key", "x") },
		} {
			code := 0
			for range 11 {
				r, w := httptest.NewRequest(http.MethodGet, "/ws", nil), httptest.NewRecorder()
				r.RemoteAddr = fmt.Sprintf("10.0.0.%d:1", i)
				show(r)
				shy.ServeHTTP(w, r)
				code = w.Code
			}
			if code != http.StatusTooManyRequests {
				t.Errorf("%d: guesses are not counted: %d", i, code)
			}
		}
		none := startServer(t, &ServerOptions{Handler: noTasks, Token: "right", Limits: &Limits{FailuresPerMinute: -1}})
		for range 1000 {
			if code, _ := none.knock("10.0.0.1:1", "wrong", false); code != http.StatusForbidden {
				t.Fatalf("without a limit: %d", code)
			}
		}
	})
}

// TestAPIRate: the API is used so often and not more, by each principal and, where
// there is none, from each address.
func TestAPIRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := &Limits{APIRequestsPerMinute: 60}
		principals := startServer(t, &ServerOptions{Handler: noTasks, Limits: limits, Authenticate: tokens(t, map[string]Principal{
			"a": {Name: "a", API: true}, "a2": {Name: "a", API: true}, "b": {Name: "b", API: true}, "c": {Name: "c"},
		})})
		open := startServer(t, &ServerOptions{Handler: noTasks, Limits: limits})
		for name, test := range map[string]struct {
			server                                   *testServer
			address, token, otherAddress, otherToken string
		}{
			"principal": {principals, "10.0.0.1:1", "a", "10.0.0.1:1", "b"},
			"address":   {open, "10.0.0.1:1", "", "10.0.0.2:1", ""},
		} {
			for i := range 60 {
				if code, _ := test.server.knock(test.address, test.token, true); code != http.StatusOK {
					t.Fatalf("%s: request %d got %d", name, i, code)
				}
			}
			if code, after := test.server.knock(test.address, test.token, true); code != http.StatusTooManyRequests || after != 1 {
				t.Errorf("%s: one more got %d, %d", name, code, after)
			}
			if code, _ := test.server.knock(test.otherAddress, test.otherToken, true); code != http.StatusOK {
				t.Errorf("%s: another one got %d", name, code)
			}
		}
		if code, _ := principals.knock("10.0.0.9:1", "a2", true); code != http.StatusTooManyRequests {
			t.Errorf("another token of the same principal got %d", code)
		}
		for range 60 {
			if code, _ := principals.knock("10.0.0.1:1", "c", true); code != http.StatusUnauthorized {
				t.Fatalf("who may not got %d", code)
			}
		}
		if code, _ := principals.knock("10.0.0.1:1", "c", true); code != http.StatusTooManyRequests {
			t.Errorf("who may not, and does not stop, got %d", code)
		}
		<-time.After(time.Second)
		if code, _ := principals.knock("10.0.0.9:1", "a2", true); code != http.StatusOK {
			t.Errorf("a second later: %d", code)
		}
	})
}

// TestRatesAreBounded: what is counted has a bound, also if all of it is in use.
func TestRatesAreBounded(t *testing.T) {
	var r rates
	for i := range 3 * maxKeys {
		r.spend(10, strconv.Itoa(i))
	}
	if n := len(r.buckets); n > maxKeys || n < maxKeys/2 {
		t.Errorf("%d keys are kept", n)
	}
	for range 10 {
		r.spend(10, "last")
	}
	if r.wait(10, "last") == 0 || r.wait(10, "new") != 0 {
		t.Error("the rates have forgotten, or made up, something")
	}
}
