package endpoint

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// vault issues tokens, of which one at a time is valid.
type vault struct {
	mu       sync.Mutex
	issued   int
	accepted int // the number of the valid token
	asked    []CredentialsRequest
	seen     []string // headers and queries of requests
	err      error
}

// credentials returns the same token until it is refused.
func (v *vault) credentials(_ context.Context, r CredentialsRequest) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked = append(v.asked, r)
	if r.Refused == v.token() && v.issued < v.accepted {
		v.issued++
	}
	return v.token(), v.err
}

func (v *vault) token() string { return fmt.Sprint("s3cret-", v.issued) }

func (v *vault) authenticate(r *http.Request) (*Principal, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, r.Header.Get("Authorization")+"|"+r.URL.RawQuery)
	if token, _ := RequestToken(r); token != fmt.Sprint("s3cret-", v.accepted) {
		return nil, ErrUnauthenticated
	}
	return anyone("me"), nil
}

// expire makes the token that is valid invalid.
func (v *vault) expire() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.accepted++
}

func (v *vault) requests() []CredentialsRequest {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]CredentialsRequest(nil), v.asked...)
}

// registrations returns an observer, and a channel that tells of registrations
// and of ends.
func registrations() (func(Event), chan Event) {
	events := make(chan Event, 100)
	return func(e Event) {
		if e.Kind == EventRegistered || e.Kind == EventDisconnected {
			events <- e
		}
	}, events
}

func await(t *testing.T, events <-chan Event, kind EventKind) {
	t.Helper()
	select {
	case e := <-events:
		if e.Kind != kind {
			t.Fatalf("observed %+v, want %s", e, kind)
		}
	case <-soon(t).Done():
		t.Fatalf("nothing was observed, want %s", kind)
	}
}

// started runs a device until the end of the test.
func started(t *testing.T, options *DeviceOptions) (events chan Event, ended <-chan error) {
	t.Helper()
	options.Observer, events = registrations()
	options.ID, options.Platform = "dev", messages.PlatformLinux
	device, err := NewDevice(options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	result, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		result <- device.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	return events, result
}

// cutAll drops the connections of all clients, as a network does.
func (s *testServer) cutAll() {
	for c := range s.clients() {
		if session := c.session(); session != nil {
			session.Drop(errCut)
			continue
		}
		abort(c.transport, errCut)
	}
}

// TestTokenIsRenewed: a token that has expired meanwhile is renewed when the
// connection is replaced, in the same attempt, with a session and without. It
// travels in the header alone.
func TestTokenIsRenewed(t *testing.T) {
	for _, resume := range []bool{true, false} {
		t.Run(fmt.Sprint("resume ", resume), func(t *testing.T) {
			v := &vault{}
			server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: v.authenticate})
			url := overHTTP(t, server)
			events, _ := started(t, &DeviceOptions{
				URL: url + "?x=y", Credentials: v.credentials, Reconnect: &ReconnectOptions{Strategy: quick{}, NoResume: !resume},
			})
			await(t, events, EventRegistered)
			v.expire()
			server.cutAll()
			await(t, events, EventDisconnected)
			await(t, events, EventRegistered)
			public := transport.RedactURL(url + "?x=y")
			want := []CredentialsRequest{{URL: public}, {URL: public}, {URL: public, Refused: "s3cret-0"}}
			if got := v.requests(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("asked for %+v", got)
			}
			if want := []string{"Bearer s3cret-0|x=y", "Bearer s3cret-0|x=y", "Bearer s3cret-1|x=y"}; fmt.Sprint(v.seen) != fmt.Sprint(want) {
				t.Errorf("the requests show %q", v.seen)
			}
		})
	}
}

// TestTokenOfConstellationIsRenewed: the same for a constellation, whose links
// each know what was refused to them.
func TestTokenOfConstellationIsRenewed(t *testing.T) {
	v := &vault{}
	server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: v.authenticate})
	url := overHTTP(t, server)
	events, _ := started(t, &DeviceOptions{URL: url, Credentials: BearerToken("s3cret-0")})
	await(t, events, EventRegistered)
	v.expire() // Already at the first connection.
	observe, own := registrations()
	c, err := NewConstellation(&ConstellationOptions{
		Name: "con", Credentials: v.credentials, Observer: observe, Reconnect: &ReconnectOptions{Strategy: quick{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Connect(soon(t), "dev", url); err != nil {
		t.Fatal(err)
	}
	await(t, own, EventRegistered)
	v.expire()
	for at := range server.clients() {
		if at.info.Role == messages.Constellation {
			at.session().Drop(errCut)
		}
	}
	await(t, own, EventDisconnected)
	await(t, own, EventRegistered)
	if got := v.requests(); len(got) != 4 || got[1].Refused != "s3cret-0" || got[3].Refused != "s3cret-1" || got[2].Refused != "" {
		t.Errorf("asked for %+v", got)
	}
}

// clients returns the clients that there are, when all are registered.
func (s *testServer) clients() map[*client]struct{} {
	s.mu.Lock()
	all := maps.Clone(s.connections)
	s.mu.Unlock()
	for c := range all {
		if err := c.ready(soon(s.t)); err != nil {
			s.t.Error(err)
		}
	}
	return all
}

// TestRefusedTokens: a token that is refused, and the same again, is the end, as
// is a new one that is refused as well; what fails to get one is tried again.
func TestRefusedTokens(t *testing.T) {
	next := 0
	for name, test := range map[string]struct {
		credentials Credentials
		asked       int
	}{
		"the same": {BearerToken("wrong"), 1},
		"always another one": {func(context.Context, CredentialsRequest) (string, error) {
			next++
			return fmt.Sprint("wrong", next), nil
		}, 2},
		"none":                     {BearerToken(""), 1},
		"broken before it is sent": {BearerToken("s3cret\r\nX-Evil: 1"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: func(*http.Request) (*Principal, error) {
				asked++
				return nil, ErrForbidden
			}})
			_, ended := started(t, &DeviceOptions{
				URL: overHTTP(t, server), Credentials: test.credentials,
				Reconnect: &ReconnectOptions{Strategy: quickUntil{}},
			})
			select {
			case err := <-ended:
				var answer *websocket.HandshakeError
				if test.asked > 0 && (!errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden || transport.Retryable(err)) {
					t.Errorf("Run returned %v", err)
				}
				if err == nil || strings.Contains(fmt.Sprintf("%+v", err), "s3cret") {
					t.Errorf("Run returned %v", err)
				}
			case <-soon(t).Done():
				t.Fatal("it goes on")
			}
			if asked != test.asked {
				t.Errorf("the server was asked %d times", asked)
			}
		})
	}
	v := &vault{err: errors.New("the issuer is away")}
	server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: v.authenticate})
	failed := make(chan error, 100)
	events, _ := started(t, &DeviceOptions{URL: overHTTP(t, server), Credentials: v.credentials, Reconnect: &ReconnectOptions{
		Strategy: quick{}, Observe: func(e resilience.AttemptEvent) {
			if e.Kind == resilience.AttemptFailed {
				failed <- e.Err
			}
		},
	}})
	if err := <-failed; !errors.Is(err, v.err) || !transport.Retryable(err) {
		t.Errorf("the attempt failed with %v", err)
	}
	v.mu.Lock()
	v.err = nil
	v.mu.Unlock()
	await(t, events, EventRegistered)
}

// TestCredentialOptions: each thing is said once.
func TestCredentialOptions(t *testing.T) {
	token := BearerToken("x")
	dial := func(context.Context, string) (transport.Transport, error) { return nil, errCut }
	for name, o := range map[string]DeviceOptions{
		"token and credentials": {URL: "ws://x", Token: "x", Credentials: token},
		"credentials and Dial":  {Dial: dial, Credentials: token},
		"TLS and Dial":          {Dial: dial, TLS: &tls.Config{}},
	} {
		o.ID = "dev"
		if _, err := NewDevice(&o); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: NewDevice returned %v", name, err)
		}
		c := ConstellationOptions{Name: "con", Token: o.Token, Credentials: o.Credentials, TLS: o.TLS, Dial: o.Dial}
		if _, err := NewConstellation(&c); !errors.Is(err, ErrInvalidOptions) {
			t.Errorf("%s: NewConstellation returned %v", name, err)
		}
	}
	_, ended := started(t, &DeviceOptions{URL: "ws://127.0.0.1:1/ws?token=s3cret", TLS: &tls.Config{}})
	if err := <-ended; !errors.Is(err, transport.ErrInvalidURL) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Run returned %v", err)
	}
}

// secured is a server behind TLS that wants certificates, with files of them.
type secured struct {
	*testServer
	url, dir          string
	ca                *authority
	caFile, otherFile string
}

func newSecured(t *testing.T, version uint16) *secured {
	t.Helper()
	s := &secured{dir: t.TempDir(), ca: newAuthority(t)}
	cert := s.ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	certFile, keyFile := s.ca.write(s.dir, "server", cert.Certificate[0], cert.PrivateKey.(*ecdsa.PrivateKey))
	s.caFile, _ = s.ca.write(s.dir, "ca", s.ca.cert.Raw, nil)
	s.otherFile, _ = s.ca.write(s.dir, "other", newAuthority(t).cert.Raw, nil)
	config, err := TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: s.caFile}.Config()
	if err != nil {
		t.Fatal(err)
	}
	config.MaxVersion = version
	s.testServer = startServer(t, &ServerOptions{Handler: noTasks, Authenticate: Certificates(
		func(identity string, _ *x509.Certificate) (*Principal, error) {
			return &Principal{Name: identity, Roles: anyRole}, nil
		})})
	web := httptest.NewUnstartedServer(s.testServer)
	web.TLS, web.Config.ErrorLog = config, log.New(io.Discard, "", 0)
	web.StartTLS()
	t.Cleanup(web.Close)
	s.url = strings.Replace(strings.Replace(web.URL, "https", "wss", 1), "127.0.0.1", "localhost", 1) + "/ws"
	return s
}

// client returns the configuration of a client of that name, with the certificate
// in file.
func (s *secured) client(t *testing.T, file, name string, by *authority, ca string) *tls.Config {
	t.Helper()
	files := TLSFiles{ServerCA: ca}
	if by != nil {
		cert := by.issue(func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} })
		files.Certificate, files.Key = by.write(s.dir, file, cert.Certificate[0], cert.PrivateKey.(*ecdsa.PrivateKey))
	}
	config, err := files.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// TestMutualTLS: over real TLS, clients register under the identity of their
// certificates, which are read again for each connection, and under no other.
// Certificates that are not right are an error of their own and the end.
func TestMutualTLS(t *testing.T) {
	for version, text := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		t.Run(text, func(t *testing.T) {
			s := newSecured(t, version)
			events, ended := started(t, &DeviceOptions{URL: s.url, TLS: s.client(t, "dev", "dev", s.ca, s.caFile), Reconnect: &ReconnectOptions{Strategy: quickUntil{}}})
			await(t, events, EventRegistered)
			if got := s.Clients(); len(got) != 1 || got[0].Principal != "dev" || got[0].ID != "dev" {
				t.Errorf("the clients are %+v", got)
			}
			c, err := NewConstellation(&ConstellationOptions{Name: "con", TLS: s.client(t, "con", "con", s.ca, s.caFile)})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Connect(soon(t), "dev", s.url); err != nil {
				t.Errorf("Connect returned %v", err)
			}
			// The device comes back with what its files hold now: the certificate of
			// another one, under which it may not register.
			s.client(t, "dev", "elsewhere", s.ca, s.caFile)
			s.cutAll()
			await(t, events, EventDisconnected)
			select {
			case err := <-ended:
				if failed := new(protocol.RegistrationError); !errors.As(err, &failed) || failed.Failure != protocol.RegistrationRefused {
					t.Errorf("Run returned %v", err)
				}
			case <-soon(t).Done():
				t.Error("the device goes on")
			}
			for name, test := range map[string]struct {
				config *tls.Config
				want   func(error) bool
			}{
				"foreign certificate": {s.client(t, "foreign", "dev", newAuthority(t), s.caFile), refusesForGood},
				"no certificate":      {s.client(t, "", "", nil, s.caFile), refusesForGood},
				"unknown server":      {s.client(t, "unknown", "dev", s.ca, s.otherFile), func(err error) bool { return errors.As(err, new(*tls.CertificateVerificationError)) }},
			} {
				// What the server does not know it refuses; that arrives, unless the
				// network loses it with the connection, and then the next time.
				_, ended := started(t, &DeviceOptions{URL: s.url, TLS: test.config, Reconnect: &ReconnectOptions{Strategy: quickUntil{}}})
				select {
				case err := <-ended:
					if !test.want(err) {
						t.Errorf("%s: Run returned %v", name, err)
					}
				case <-soon(t).Done():
					t.Fatalf("%s: it goes on", name)
				}
			}
		})
	}
}

// refusesForGood checks what becomes of a wrong certificate.
func refusesForGood(err error) bool {
	return errors.Is(err, ErrCertificateRefused) && !transport.Retryable(err)
}

// quickUntil tries again at once what can be tried again.
type quickUntil struct{}

func (quickUntil) NextDelay(_ int, cause error) (time.Duration, bool) {
	return time.Millisecond, transport.Retryable(cause)
}

// TestClientFiles: mistakes in the files of a client are found before it connects.
func TestClientFiles(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert := ca.issue(func(*x509.Certificate) {})
	certFile, keyFile := ca.write(dir, "client", cert.Certificate[0], cert.PrivateKey.(*ecdsa.PrivateKey))
	caFile, _ := ca.write(dir, "ca", ca.cert.Raw, nil)
	for name, test := range map[string]struct {
		files TLSFiles
		ok    bool
	}{
		"nothing":            {TLSFiles{}, true},
		"authority":          {TLSFiles{ServerCA: caFile}, true},
		"certificate":        {TLSFiles{Certificate: certFile, Key: keyFile, ServerCA: caFile}, true},
		"no key":             {TLSFiles{Certificate: certFile}, false},
		"no certificate":     {TLSFiles{Key: keyFile}, false},
		"missing file":       {TLSFiles{Certificate: certFile, Key: keyFile + "x"}, false},
		"authority is a key": {TLSFiles{ServerCA: keyFile}, false},
		"for a server":       {TLSFiles{ClientCA: caFile}, false},
	} {
		config, err := test.files.ClientConfig()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && config.MinVersion < tls.VersionTLS12 {
			t.Errorf("%s: %+v", name, config)
		}
	}
	if _, err := (TLSFiles{Certificate: certFile, Key: keyFile, ServerCA: caFile}).Config(); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("Config of a client's files returned %v", err)
	}
}

// TestBearerIsNotShown: neither errors, events nor logs of a client have its
// token, whether it is accepted or not.
func TestBearerIsNotShown(t *testing.T) {
	core, logs := zapobserver.New(zapcore.DebugLevel)
	var texts []string
	for _, code := range []int{http.StatusForbidden, http.StatusFound, http.StatusTeapot} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "ftp://x/?"+r.Header.Get("Authorization"))
			w.WriteHeader(code)
		}))
		t.Cleanup(web.Close)
		for _, address := range []string{web.URL, "http://127.0.0.1:1/?token=s3cret"} {
			r := &recorder{}
			device, err := NewDevice(&DeviceOptions{
				ID: "dev", URL: address, Credentials: BearerToken("s3cret"), Logger: zap.New(core), Observer: r.observe,
				Reconnect: &ReconnectOptions{Off: true},
			})
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, fmt.Sprintf("%+v %v", device.Run(soon(t)), r.of(EventDisconnected)))
		}
	}
	for _, entry := range logs.All() {
		texts = append(texts, fmt.Sprint(entry.Message, entry.ContextMap()))
	}
	if len(texts) < 10 {
		t.Errorf("only %d texts", len(texts))
	}
	for _, text := range texts {
		if strings.Contains(text, "s3cret") {
			t.Errorf("it is in %q", text)
		}
	}
}
