//lint:file-ignore SA1019 the deprecated library is what the transport is compared with

package stack

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	nhooyr "nhooyr.io/websocket"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/websocket"
)

// ours sends content through the transport.
type ours struct {
	t       *websocket.Transport
	one     bool // message
	message []byte
}

func openOurs(one bool) func(context.Context, string, http.ResponseWriter, *http.Request) (streamer, error) {
	return func(ctx context.Context, url string, w http.ResponseWriter, r *http.Request) (streamer, error) {
		t, err := openTransport(ctx, url, w, r)
		return &ours{t: t, one: one}, err
	}
}

func openTransport(ctx context.Context, url string, w http.ResponseWriter, r *http.Request) (*websocket.Transport, error) {
	if url == "" {
		return websocket.Accept(w, r, nil)
	}
	t := websocket.New(nil)
	return t, t.Connect(ctx, url)
}

func (o *ours) prepare(size int64) {
	if o.one {
		o.message = whole(size)
	}
}

func (o *ours) send(ctx context.Context, size int64) error {
	if o.one {
		return o.t.Send(ctx, o.message)
	}
	return o.t.SendStream(ctx, transport.Binary, content(size))
}

func (o *ours) receive(ctx context.Context) (int64, error) {
	if o.one {
		message, err := o.t.Receive(ctx)
		return int64(len(message)), err
	}
	_, r, err := o.t.ReceiveStream(ctx)
	if err != nil {
		return 0, err
	}
	var c counter
	_, err = io.Copy(&c, r)
	return c.n, errors.Join(err, r.Close())
}

func (o *ours) signal(ctx context.Context) error { return o.t.Send(ctx, small) }

func (o *ours) await(ctx context.Context) error {
	_, err := o.t.Receive(ctx)
	return err
}

func (o *ours) close() error {
	o.t.Abort(errClosed)
	return o.t.Close()
}

// file sends content as a file, which is received into a folder.
type file struct {
	ours
	sender interface {
		SendFileFrom(context.Context, io.Reader, string, int64, *protocol.SendFileOptions) (*protocol.FileResult, error)
	}
	receiver interface {
		ReceiveFile(context.Context, string, *protocol.ReceiveFileOptions) (*protocol.FileResult, error)
	}
}

func openFile(ctx context.Context, url string, w http.ResponseWriter, r *http.Request) (streamer, error) {
	t, err := openTransport(ctx, url, w, r)
	if err != nil {
		return nil, err
	}
	f := &file{ours: ours{t: t}}
	if url == "" {
		s, err := protocol.NewServer(t, nil)
		f.sender, f.receiver = s, s
		return f, err
	}
	c, err := protocol.NewClient(t, nil)
	f.sender, f.receiver = c, c
	return f, err
}

func (f *file) send(ctx context.Context, size int64) error {
	_, err := f.sender.SendFileFrom(ctx, content(size), "content.bin", size, nil)
	return err
}

func (f *file) receive(ctx context.Context) (_ int64, err error) {
	folder, err := os.MkdirTemp("", "aip-bench-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	result, err := f.receiver.ReceiveFile(ctx, folder, nil)
	if err != nil {
		return 0, err
	}
	return result.Size, nil
}

// plain sends content through the engine alone.
type plain struct {
	conn    *nhooyr.Conn
	one     bool // message
	message []byte
}

func openNhooyr(one bool) func(context.Context, string, http.ResponseWriter, *http.Request) (streamer, error) {
	return func(ctx context.Context, url string, w http.ResponseWriter, r *http.Request) (streamer, error) {
		var conn *nhooyr.Conn
		var err error
		if url == "" {
			conn, err = nhooyr.Accept(w, r, &nhooyr.AcceptOptions{CompressionMode: nhooyr.CompressionDisabled})
		} else {
			conn, _, err = nhooyr.Dial(ctx, url, &nhooyr.DialOptions{CompressionMode: nhooyr.CompressionDisabled})
		}
		if err != nil {
			return nil, err
		}
		conn.SetReadLimit(-1)
		return &plain{conn: conn, one: one}, nil
	}
}

func (p *plain) prepare(size int64) {
	if p.one {
		p.message = whole(size)
	}
}

func (p *plain) send(ctx context.Context, size int64) error {
	if p.one {
		return p.conn.Write(ctx, nhooyr.MessageText, p.message)
	}
	w, err := p.conn.Writer(ctx, nhooyr.MessageBinary)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, content(size))
	return errors.Join(err, w.Close())
}

func (p *plain) receive(ctx context.Context) (int64, error) {
	if p.one {
		_, message, err := p.conn.Read(ctx)
		return int64(len(message)), err
	}
	_, r, err := p.conn.Reader(ctx)
	if err != nil {
		return 0, err
	}
	var c counter
	_, err = io.Copy(&c, r)
	return c.n, err
}

func (p *plain) signal(ctx context.Context) error {
	return p.conn.Write(ctx, nhooyr.MessageText, small)
}

func (p *plain) await(ctx context.Context) error {
	_, _, err := p.conn.Read(ctx)
	return err
}

func (p *plain) close() error {
	_ = p.conn.CloseNow() // it may be closed already
	return nil
}
