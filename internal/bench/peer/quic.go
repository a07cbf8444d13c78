package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"time"

	"github.com/quic-go/quic-go"
)

const quicProtocol = "bench"

// quicPeer is one stream of a quic-go connection, with a length before each
// message, encrypted as QUIC always is.
func quicPeer() Peer {
	return Peer{Name: "quic-go", Listen: listenQUIC, Dial: dialQUIC}
}

func listenQUIC(serve func(Conn)) (Listener, error) {
	certificate, err := selfSigned()
	if err != nil {
		return nil, err
	}
	listener, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{quicProtocol},
	}, nil)
	if err != nil {
		return nil, err
	}
	l := &quicListener{listener: listener, accepted: make(chan struct{})}
	go func() {
		defer close(l.accepted)
		for {
			conn, err := listener.Accept(context.Background())
			if err != nil {
				return // closed
			}
			l.conns.serve(&quicConn{conn: conn}, serve)
		}
	}()
	return l, nil
}

func dialQUIC(ctx context.Context, addr string, _ DialFunc) (Conn, error) {
	conn, err := quic.DialAddr(ctx, addr, &tls.Config{
		InsecureSkipVerify: true, // the certificate is made for this run
		NextProtos:         []string{quicProtocol},
	}, nil)
	if err != nil {
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, errors.Join(err, closeQUIC(conn))
	}
	return &quicConn{conn: conn, length: newLengthConn(stream, stream, false)}, nil
}

type quicListener struct {
	listener *quic.Listener
	accepted chan struct{}
	conns    connections
}

func (l *quicListener) Addr() string { return l.listener.Addr().String() }

func (l *quicListener) Close() error {
	l.conns.close()
	err := l.listener.Close()
	<-l.accepted
	return err
}

// quicConn is a connection with its stream. On the accepting side the stream
// is there from the first message on.
type quicConn struct {
	conn   *quic.Conn
	length *lengthConn
}

func (c *quicConn) Send(message []byte) error { return c.length.Send(message) }

func (c *quicConn) Flush() error { return nil }

func (c *quicConn) Receive(each func([]byte) error) error {
	if c.length == nil {
		stream, err := c.conn.AcceptStream(c.conn.Context())
		if err != nil {
			return err
		}
		c.length = newLengthConn(stream, stream, false)
	}
	return c.length.Receive(each)
}

func (c *quicConn) Close() error { return closeQUIC(c.conn) }

func closeQUIC(conn *quic.Conn) error {
	err := conn.CloseWithError(0, "")
	if closed := new(quic.ApplicationError); errors.As(err, &closed) {
		return nil // the other side closed it before
	}
	return err
}

// selfSigned makes a certificate for this run.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}, err
}
