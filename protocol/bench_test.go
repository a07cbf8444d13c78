package protocol

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func BenchmarkSendReceive(b *testing.B) {
	for _, size := range []int{128, 1 << 10, 64 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			c, s := newPair(b, nil, nil)
			ctx := context.Background()
			m := messages.NewDeviceTask("dev", "task", strings.Repeat("x", size), "linux")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				must(b, c.Send(ctx, m))
				_, err := s.Receive(ctx)
				must(b, err)
			}
		})
	}
}

func BenchmarkCall(b *testing.B) {
	c, s := newPair(b, nil, nil)
	s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
		return s.Send(ctx, messages.NewDeviceInfoResponse(m.RequestID, messages.Value{}))
	})
	running(b, s)
	running(b, c)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		request := infoRequest()
		_, err := c.Call(ctx, request, MatchDeviceInfo(request.RequestID))
		must(b, err)
	}
}

func BenchmarkTombstones(b *testing.B) {
	var stones tombstones
	keys := make([]matchKey, 4*maxTombstones)
	for i := range keys {
		keys[i] = matchKey{field: byTaskEnd, id: fmt.Sprint(i)}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		stones.add(keys[i%len(keys)], true)
		i++
	}
}

func BenchmarkRun(b *testing.B) {
	c, s := newPair(b, nil, nil)
	ctx := context.Background()
	handled := make(chan struct{}, 1)
	c.Handle(messages.ServerHeartbeat, func(context.Context, *messages.ServerMessage) error {
		handled <- struct{}{}
		return nil
	})
	running(b, c)
	m := messages.NewHeartbeatReply()
	b.ReportAllocs()
	for b.Loop() {
		must(b, s.Send(ctx, m))
		<-handled
	}
}
