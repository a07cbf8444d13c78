package transporttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// secured returns functions that put TLS on the connections of a client and of
// a server.
func secured(t testing.TB) (client, server func(net.Conn) net.Conn) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		DNSNames:     []string{"server"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour * 24 * 365),
		IsCA:         true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	clientConfig := &tls.Config{RootCAs: roots, ServerName: "server"}
	serverConfig := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	client = func(conn net.Conn) net.Conn { return &hardTLS{tls.Client(conn, clientConfig)} }
	server = func(conn net.Conn) net.Conn { return &hardTLS{tls.Server(conn, serverConfig)} }
	return client, server
}

// hardTLS is a TLS connection whose Close does not wait to say goodbye; framed
// has a closing handshake of its own.
type hardTLS struct{ *tls.Conn }

func (c *hardTLS) Close() error { return c.NetConn().Close() }
