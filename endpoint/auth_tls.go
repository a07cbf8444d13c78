package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSFiles are the files, in PEM form, of a server or a client with TLS.
type TLSFiles struct {
	// Certificate has this side's certificate and those between it and the
	// authority, Key its private key. A client may have neither.
	Certificate, Key string
	// ServerCA has the authorities of servers' certificates, for a client.
	// Empty means the system's.
	ServerCA string
	// ClientCA has the authorities of the clients' certificates, for a server.
	// Empty asks clients for none.
	ClientCA string
	// ClientOptional also lets clients in that have no certificate: for an
	// Authenticator that knows them otherwise.
	ClientOptional bool
}

// Config reads the files and returns a configuration for [net/http.Server]'s
// TLSConfig: TLS 1.2 and later, and with a ClientCA only clients with a verified
// certificate, for [Certificates]. Its errors do not contain what is in the
// files.
func (f TLSFiles) Config() (*tls.Config, error) {
	if f.ServerCA != "" {
		return nil, invalid("TLSFiles: ServerCA is for clients: see ClientConfig")
	}
	pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
	if err != nil {
		return nil, fmt.Errorf("endpoint: reading the server's certificate and key: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if f.ClientCA == "" {
		if f.ClientOptional {
			return nil, invalid("TLSFiles: ClientOptional needs ClientCA")
		}
		return config, nil
	}
	if config.ClientCAs, err = readAuthorities(f.ClientCA, "clients"); err != nil {
		return nil, err
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if f.ClientOptional {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}

// ClientConfig reads the files and returns a configuration for a client, such as
// TLS of [DeviceOptions]: TLS 1.2 and later. Certificate and Key are read again
// for each connection, so that the files can be replaced when the certificate is
// about to expire. Its errors do not contain what is in the files.
func (f TLSFiles) ClientConfig() (*tls.Config, error) {
	if f.ClientCA != "" || f.ClientOptional {
		return nil, invalid("TLSFiles: ClientCA and ClientOptional are for servers: see Config")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	if f.ServerCA != "" {
		if config.RootCAs, err = readAuthorities(f.ServerCA, "servers"); err != nil {
			return nil, err
		}
	}
	if f.Certificate == "" && f.Key == "" {
		return config, nil
	}
	read := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Certificate, f.Key)
		if err != nil {
			return nil, fmt.Errorf("endpoint: reading the client's certificate and key: %w", err)
		}
		return &pair, nil
	}
	if _, err := read(); err != nil {
		return nil, err
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() }
	return config, nil
}

// readAuthorities reads certificates of the authorities of whose.
func readAuthorities(file, whose string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("endpoint: reading the authorities of %s: %w", whose, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, invalid("TLSFiles: there is no certificate in the file of the authorities of %s", whose)
	}
	return pool, nil
}
