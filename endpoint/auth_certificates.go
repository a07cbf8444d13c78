package endpoint

import (
	"crypto/x509"
	"errors"
	"net/http"

	"github.com/aip-go/aip/messages"
)

// Certificates returns an Authenticator for clients with a certificate that the
// TLS server has verified: see [TLSFiles], or [crypto/tls.Config]'s ClientAuth
// and ClientCAs. The identity is the certificate's first URI, else its first DNS
// name, else the common name of its subject.
//
// principal returns whom an identity belongs to; its errors are those of an
// [Authenticator]. Nil means the device of that id.
func Certificates(principal func(identity string, leaf *x509.Certificate) (*Principal, error)) Authenticator {
	if principal == nil {
		principal = func(identity string, _ *x509.Certificate) (*Principal, error) {
			return &Principal{Name: identity, Roles: []messages.ClientType{messages.Device}}, nil
		}
	}
	return func(r *http.Request) (*Principal, error) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return nil, ErrUnauthenticated
		}
		// What the client shows is its own word until it was verified.
		if len(r.TLS.VerifiedChains) == 0 || len(r.TLS.VerifiedChains[0]) == 0 {
			return nil, ErrForbidden
		}
		leaf := r.TLS.VerifiedChains[0][0]
		identity := certificateIdentity(leaf)
		if identity == "" {
			return nil, ErrForbidden
		}
		return principal(identity, leaf)
	}
}

func certificateIdentity(leaf *x509.Certificate) string {
	switch {
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String()
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	default:
		return leaf.Subject.CommonName
	}
}

// FirstOf returns an Authenticator that asks one after the other, until one does
// not say that its credentials are missing ([ErrUnauthenticated]): such as
// certificates for devices and tokens for the rest.
func FirstOf(authenticators ...Authenticator) Authenticator {
	return func(r *http.Request) (*Principal, error) {
		for _, authenticate := range authenticators {
			p, err := authenticate(r)
			if !errors.Is(err, ErrUnauthenticated) {
				return p, err
			}
		}
		return nil, ErrUnauthenticated
	}
}
