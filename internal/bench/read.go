package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/aip-go/aip/internal/bench/peer"
)

// readTime returns the processor time, in nanoseconds, that a client takes to
// read one message, from a connection that has them in memory.
func (t turn) readTime(ctx context.Context, size int) ([]float64, error) {
	replay := newReplay(peer.Payload(size), t.Frames)
	conn, err := t.peer.Dial(ctx, t.server.Addr(), func(context.Context, string, string) (net.Conn, error) {
		return replay, nil
	})
	if err != nil {
		return nil, err
	}
	start, err := processorTime()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	replay.begin()
	count := 0
	// Its error is the end of the connection, if all messages were there.
	ended := conn.Receive(func(message []byte) error {
		count++
		if count == 1 {
			return same(message, peer.Payload(size))
		}
		return nil
	})
	took, err := processorTime()
	if err := errors.Join(err, conn.Close()); err != nil && !errors.Is(err, net.ErrClosed) {
		return nil, err
	}
	if count != t.Frames {
		return nil, fmt.Errorf("%d of %d messages were read: %w", count, t.Frames, ended)
	}
	return []float64{float64(took-start) / float64(count)}, nil
}
