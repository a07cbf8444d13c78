package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
)

// authority issues certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(template, nil, nil)
	return a
}

func (a *authority) sign(template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// issue issues a certificate for clients and servers.
func (a *authority) issue(change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	change(template)
	cert, key := a.sign(template, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// write writes a certificate, and its key if there is one, as PEM.
func (a *authority) write(dir, name string, der []byte, key *ecdsa.PrivateKey) (certFile, keyFile string) {
	a.t.Helper()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if key == nil {
		return certFile, ""
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return certFile, keyFile
}

// TestCertificates: over real TLS, the identity is the verified certificate's
// URI, else its DNS name, else its common name, and nobody else's.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	ca, foreign := newAuthority(t), newAuthority(t)
	serverCert := ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	certFile, keyFile := ca.write(dir, "server", serverCert.Certificate[0], serverCert.PrivateKey.(*ecdsa.PrivateKey))
	caFile, _ := ca.write(dir, "ca", ca.cert.Raw, nil)
	config, err := TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: caFile, ClientOptional: true}.Config()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	server := startServer(t, &ServerOptions{Handler: noTasks, Authenticate: FirstOf(
		Certificates(func(identity string, _ *x509.Certificate) (*Principal, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, identity)
			return nil, errors.New("enough is known")
		}),
		tokens(t, map[string]Principal{"right": {Name: "t"}}),
	)})
	web := httptest.NewUnstartedServer(server)
	web.TLS = config
	web.StartTLS()
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	uri, _ := url.Parse("spiffe://example/dev")
	for name, test := range map[string]struct {
		cert *x509.Certificate
		by   *authority
		want string
	}{
		"URI":         {&x509.Certificate{URIs: []*url.URL{uri}, DNSNames: []string{"dns"}, Subject: pkix.Name{CommonName: "cn"}}, ca, "spiffe://example/dev"},
		"DNS name":    {&x509.Certificate{DNSNames: []string{"dns"}, Subject: pkix.Name{CommonName: "cn"}}, ca, "dns"},
		"common name": {&x509.Certificate{Subject: pkix.Name{CommonName: "cn"}}, ca, "cn"},
		"nothing":     {&x509.Certificate{}, ca, ""},
		"foreign":     {&x509.Certificate{Subject: pkix.Name{CommonName: "cn"}}, foreign, ""},
		"expired":     {&x509.Certificate{Subject: pkix.Name{CommonName: "cn"}, NotAfter: time.Now().Add(-time.Minute)}, ca, ""},
		"for servers": {&x509.Certificate{Subject: pkix.Name{CommonName: "cn"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, ca, ""},
	} {
		t.Run(name, func(t *testing.T) {
			mu.Lock()
			seen = nil
			mu.Unlock()
			cert := test.by.issue(func(c *x509.Certificate) {
				c.URIs, c.DNSNames, c.Subject = test.cert.URIs, test.cert.DNSNames, test.cert.Subject
				if !test.cert.NotAfter.IsZero() {
					c.NotAfter = test.cert.NotAfter
				}
				if test.cert.ExtKeyUsage != nil {
					c.ExtKeyUsage = test.cert.ExtKeyUsage
				}
			})
			// It is shown although the server does not ask for such a one.
			show := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", GetClientCertificate: show}}
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport}).Get(web.URL)
			if err == nil {
				_ = response.Body.Close()
				if response.StatusCode != http.StatusForbidden {
					t.Errorf("got %d", response.StatusCode)
				}
			} else if test.by == ca && test.want != "" {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(seen) > 1 || len(seen) == 1 && seen[0] != test.want || test.want != "" && len(seen) == 0 {
				t.Errorf("the identities are %q", seen)
			}
		})
	}
	// Without a certificate, the tokens are asked.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for query, want := range map[string]int{"": http.StatusUnauthorized, "?token=wrong": http.StatusForbidden, "?token=right": http.StatusUpgradeRequired} {
		response, err := client.Get(web.URL + query)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q got %d", query, response.StatusCode)
		}
	}
}

// TestUnverifiedCertificate: a certificate that nobody has verified is no
// identity.
func TestUnverifiedCertificate(t *testing.T) {
	leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "dev"}}
	r := httptest.NewRequest(http.MethodGet, "/ws", nil)
	for name, test := range map[string]struct {
		state *tls.ConnectionState
		err   error
	}{
		"no TLS":         {nil, ErrUnauthenticated},
		"no certificate": {&tls.ConnectionState{}, ErrUnauthenticated},
		"not verified":   {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}, ErrForbidden},
		"verified":       {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}, VerifiedChains: [][]*x509.Certificate{{leaf}}}, nil},
	} {
		r.TLS = test.state
		p, err := Certificates(nil)(r)
		if !errors.Is(err, test.err) {
			t.Errorf("%s: got %v", name, err)
		}
		if err == nil && (!p.mayRegister("dev", messages.Device) || p.mayRegister("dev", messages.Constellation) || p.mayRegister("other", messages.Device)) {
			t.Errorf("%s: got %+v", name, p)
		}
	}
}

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	ca := newAuthority(t)
	cert := ca.issue(func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} })
	certFile, keyFile := ca.write(dir, "server", cert.Certificate[0], cert.PrivateKey.(*ecdsa.PrivateKey))
	caFile, _ := ca.write(dir, "ca", ca.cert.Raw, nil)
	for name, test := range map[string]struct {
		files TLSFiles
		auth  tls.ClientAuthType
		ok    bool
	}{
		"server alone":     {TLSFiles{Certificate: certFile, Key: keyFile}, tls.NoClientCert, true},
		"clients, too":     {TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: caFile}, tls.RequireAndVerifyClientCert, true},
		"optional":         {TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: caFile, ClientOptional: true}, tls.VerifyClientCertIfGiven, true},
		"no files":         {TLSFiles{}, 0, false},
		"missing CA":       {TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: filepath.Join(dir, "none")}, 0, false},
		"CA is a key":      {TLSFiles{Certificate: certFile, Key: keyFile, ClientCA: keyFile}, 0, false},
		"optional without": {TLSFiles{Certificate: certFile, Key: keyFile, ClientOptional: true}, 0, false},
	} {
		config, err := test.files.Config()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (config.ClientAuth != test.auth || config.MinVersion < tls.VersionTLS12) {
			t.Errorf("%s: %+v", name, config)
		}
	}
}
