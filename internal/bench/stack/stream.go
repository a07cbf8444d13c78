package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// StreamService takes and gives content of any size.
const StreamService = "streams"

// Form is the form in which content is sent.
type Form struct {
	Name string
	Ours bool
	// open makes one end of a connection, the client's if it is given a URL.
	open func(ctx context.Context, url string, w http.ResponseWriter, r *http.Request) (streamer, error)
}

// Forms returns all forms. The first is the one that the others are compared
// with.
func Forms() []Form {
	return []Form{
		{"nhooyr, stream", false, openNhooyr(false)},
		{"nhooyr, one message", false, openNhooyr(true)},
		{"aip, stream", true, openOurs(false)},
		{"aip, one message", true, openOurs(true)},
		{"aip, file", true, openFile},
	}
}

// streamer is one end of a connection over which content goes in one form.
type streamer interface {
	// prepare makes what is there before content of that size is sent.
	prepare(size int64)
	// send sends the content, and receive returns the size of what came.
	send(ctx context.Context, size int64) error
	receive(ctx context.Context) (int64, error)
	// signal and await send and receive a small message.
	signal(ctx context.Context) error
	await(ctx context.Context) error
	close() error
}

// streamHandler serves every form below its number. The query says how much the
// server sends or, without a size, that it receives.
func streamHandler() (http.Handler, func() error, error) {
	u := newUpgrades()
	mux := http.NewServeMux()
	for i, form := range Forms() {
		mux.Handle("/"+strconv.Itoa(i), u.handle(func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
			s, err := form.open(ctx, "", w, r)
			if err != nil {
				return err
			}
			stop := context.AfterFunc(ctx, func() { _ = s.close() }) // what it was good for is over
			defer stop()
			err = serveStream(ctx, s, r.URL.Query().Get("size"))
			return errors.Join(err, s.close())
		}))
	}
	return mux, u.end, nil
}

func serveStream(ctx context.Context, s streamer, size string) error {
	if size == "" {
		if err := s.signal(ctx); err != nil { // it is ready
			return err
		}
		if _, err := s.receive(ctx); err != nil {
			return err
		}
		return errors.Join(s.signal(ctx), s.await(ctx))
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	s.prepare(n)
	if err := errors.Join(s.signal(ctx), s.await(ctx)); err != nil {
		return err
	}
	return errors.Join(s.send(ctx, n), s.await(ctx))
}

// Stream is content that is about to go one way or the other.
type Stream struct {
	streamer
	size int64
	down bool
}

// OpenStream connects. Both sides are ready then, and nothing has been sent.
func OpenStream(ctx context.Context, addr string, form int, size int64, down bool) (*Stream, error) {
	target := url.URL{Scheme: "ws", Host: addr, Path: "/" + strconv.Itoa(form)}
	if down {
		target.RawQuery = url.Values{"size": {strconv.FormatInt(size, 10)}}.Encode()
	}
	s, err := Forms()[form].open(ctx, target.String(), nil, nil)
	if err != nil {
		return nil, err
	}
	if !down {
		s.prepare(size)
	}
	if err := s.await(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return &Stream{s, size, down}, nil
}

// Transfer sends the content, or receives it, until the receiver has all of it.
func (s *Stream) Transfer(ctx context.Context) error {
	if !s.down {
		return errors.Join(s.send(ctx, s.size), s.await(ctx))
	}
	if err := s.signal(ctx); err != nil {
		return err
	}
	n, err := s.receive(ctx)
	if err == nil && n != s.size {
		err = fmt.Errorf("%d bytes came, of %d", n, s.size)
	}
	return err
}

// Close ends the connection.
func (s *Stream) Close() error { return s.close() }

// content yields letters.
func content(size int64) io.Reader { return io.LimitReader(letters{}, size) }

type letters struct{}

var someLetters = bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz012345"), 1<<10)

func (letters) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], someLetters)
	}
	return n, nil
}

// whole returns the content in one piece.
func whole(size int64) []byte {
	message := make([]byte, size)
	_, _ = letters{}.Read(message) // it has no error
	return message
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// small is the message of signal: one of AIP's, as the protocol may read it.
var small = []byte(`{"type":"heartbeat","status":"ok"}`)
