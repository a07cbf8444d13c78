package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"reflect"
	"slices"

	"go.uber.org/zap"
)

// Credentials returns the token that a [Device] or a [Constellation] shows to a
// server as Authorization: Bearer. It is called for each attempt to connect, so
// that tokens that expire are renewed by the next one, and once more when the
// server refuses the token: if another one comes then, that is tried at once,
// else the refusal is the attempt's error, which is not worth another attempt.
//
// It must return when ctx ends, which is after ten seconds at the latest. Its
// error fails the attempt, and is taken to be temporary unless it says otherwise
// (see [github.com/aip-go/aip/transport.Retryable]); it goes into events and
// logs, so it must not contain credentials. An empty token shows none. It may be
// called concurrently.
type Credentials func(ctx context.Context, r CredentialsRequest) (token string, err error)

// CredentialsRequest says what credentials are for.
type CredentialsRequest struct {
	// URL is the server's, without what may be credentials
	// ([github.com/aip-go/aip/transport.RedactURL]). Who knows several servers
	// must not show one of them the token of another.
	URL string
	// Refused is the token that the server has refused last, with 401 or 403,
	// which a cache is not to return again; "" if it has refused none since it
	// accepted one.
	Refused string
}

// BearerToken returns Credentials that are always this token. Unlike the options'
// Token it is in a header and in no URL, where access logs would have it; servers
// that are the reference do not look there.
func BearerToken(token string) Credentials {
	return func(context.Context, CredentialsRequest) (string, error) { return token, nil }
}

// ErrCertificateRefused: a server refuses the TLS certificate of this side, or
// wants one; see TLS of [DeviceOptions] and [ConstellationOptions], and
// [TLSFiles]. Another attempt does not help.
var ErrCertificateRefused = errors.New("endpoint: the server does not accept this side's certificate, or its absence")

// certificateError is an attempt that failed for ErrCertificateRefused.
type certificateError struct{ err error }

func (e *certificateError) Error() string {
	return ErrCertificateRefused.Error() + ": " + e.err.Error()
}
func (e *certificateError) Unwrap() []error { return []error{ErrCertificateRefused, e.err} }
func (e *certificateError) Retryable() bool { return false }

// certificateAlerts are the TLS alerts (RFC 8446 section 6) of a server that will
// not have the client's certificate: handshake_failure, which is what TLS 1.2 has
// for a missing one, bad_certificate to certificate_unknown, unknown_ca,
// access_denied and certificate_required.
var certificateAlerts = []uint64{40, 42, 43, 44, 45, 46, 48, 49, 116}

// refusesCertificate reports whether err is such an alert. Package tls has no
// exported type for those of the peer: they are numbers in an error of the
// operation "remote error".
func refusesCertificate(err error) bool {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return false
	}
	alert := reflect.ValueOf(remote.Err)
	return alert.Kind() == reflect.Uint8 && slices.Contains(certificateAlerts, alert.Uint())
}

// dialing is what an endpoint's options say about its connections.
type dialing struct {
	dial        Dialer
	token       string
	credentials Credentials
	tls         *tls.Config
	logger      *zap.Logger
}

func (d *dialing) check() error {
	switch {
	case d.dial != nil && (d.credentials != nil || d.tls != nil):
		return invalid("Dial and either of Credentials and TLS exclude each other: Dial has its own")
	case d.token != "" && d.credentials != nil:
		return invalid("Token and Credentials exclude each other")
	default:
		return nil
	}
}

// dialer returns what makes the connections of one link.
func (d *dialing) dialer() Dialer {
	if d.dial != nil {
		return d.dial
	}
	return dialWebSockets(*d)
}
