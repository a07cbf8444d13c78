package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/aip-go/aip/internal/bench/peer"
)

func TestReplayOfPlainMessages(t *testing.T) {
	r := newReplay([]byte("abc"), 2)
	r.begin()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, []byte("\x00\x00\x00\x03abc\x00\x00\x00\x03abc")) {
		t.Errorf("read %q, %v", got, err)
	}
}

// The key and its answer are those of RFC 6455 section 1.3.
func TestReplayOfFrames(t *testing.T) {
	r := newReplay(peer.Payload(256), 1)
	for _, part := range []string{"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: ", "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"} {
		if _, err := r.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	r.begin()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	head, frames, found := bytes.Cut(got, []byte("\r\n\r\n"))
	if !found || !bytes.HasSuffix(head, []byte("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) {
		t.Errorf("the answer is %q", head)
	}
	want := append([]byte{0x81, 126, 1, 0}, peer.Payload(256)...)
	if want = append(want, 0x88, 2, 0x03, 0xe8); !bytes.Equal(frames, want) {
		t.Errorf("the frames are %q", frames)
	}
}

func TestReplayEndsWhenClosed(t *testing.T) {
	r := newReplay(nil, 1)
	read := make(chan error)
	go func() {
		_, err := r.Read(make([]byte, 1))
		read <- err
	}()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("the read ended with %v", err)
	}
	if _, err := r.Write([]byte{1}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the write ended with %v", err)
	}
}
