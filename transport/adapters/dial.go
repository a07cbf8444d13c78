package adapters

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// dialing is a [http.RoundTripper] that takes hold of the byte stream when the
// server switches protocols.
type dialing struct {
	base http.RoundTripper
	wrap func(io.ReadWriteCloser) io.ReadWriteCloser
	stop func() bool
	ctx  context.Context

	mu     sync.Mutex
	stream *dialled // once the server has switched protocols
}

// dialled is the stream of a dial. It has nothing to read before the dial was
// finished: a library that dislikes the response would wait for a body.
type dialled struct {
	stream
	finished atomic.Bool
}

func (d *dialled) Read(p []byte) (int, error) {
	if !d.finished.Load() {
		return 0, io.EOF
	}
	return d.stream.Read(p)
}

// intercept returns a client that dials as opts say; finish ends that.
func intercept(ctx context.Context, opts DialOptions) (*dialing, *http.Client) {
	client := http.Client{}
	if opts.Client != nil {
		client = *opts.Client
	}
	d := &dialing{base: client.Transport, wrap: opts.Wrap, ctx: ctx}
	if d.base == nil {
		d.base = http.DefaultTransport
	}
	// The context has no power over the stream.
	d.stop = context.AfterFunc(ctx, d.close)
	client.Transport = d
	return d, &client
}

// RoundTrip sends the handshake request. A response that does not switch
// protocols loses its body, which nobody has a use for.
func (d *dialing) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, ok := response.Body.(io.ReadWriteCloser)
	if response.StatusCode != http.StatusSwitchingProtocols || !ok {
		err = response.Body.Close()
		response.Body = http.NoBody
		return response, err
	}
	if d.wrap != nil {
		body = d.wrap(body)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stream = &dialled{stream: stream{ReadWriteCloser: body}}
	response.Body = d.stream
	return response, nil
}

// finish ends the dial, which had this result, and returns its real one. When
// that is the context's error there is a connection all the same, which the
// caller drops.
func (d *dialing) finish(err error) error {
	if stopped := d.stop(); err == nil && !stopped {
		err = d.ctx.Err()
	}
	if err != nil {
		d.close()
		return err
	}
	d.stream.finished.Store(true)
	return nil
}

func (d *dialing) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stream != nil {
		_ = d.stream.Close() // The dial has failed already.
	}
}
