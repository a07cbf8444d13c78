package endpoint

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSFiles are the files, in PEM form, of a server with TLS.
type TLSFiles struct {
	// Certificate has the server's certificate and those between it and the
	// authority, Key its private key.
	Certificate, Key string
	// ClientCA has the authorities of the clients' certificates. Empty asks
	// clients for none.
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
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, fmt.Errorf("endpoint: reading the authorities of clients: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, invalid("TLSFiles: there is no certificate in ClientCA")
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	if f.ClientOptional {
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config, nil
}
