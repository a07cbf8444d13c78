package resilience_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
	"github.com/aip-go/aip/transport/transporttest"
)

// Protects: the time that a resume takes: the first message is through within
// three round trips after the dial, the registration included.
func TestResumeTakesFewRoundTrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const oneWay = 50 * time.Millisecond
		s := newStage(t)
		s.listen("server:80")
		s.slow(oneWay)
		o := s.options("device")
		dial := o.Dial
		var dialled time.Time
		o.Dial = func(ctx context.Context, url string) (transport.Transport, error) {
			at, err := dial(ctx, url)
			dialled = time.Now()
			return at, err
		}
		l := s.link(o)
		session := s.session()
		for range 3 {
			s.cut()
			buffered := transport.WithDelivery(t.Context(), transport.Buffered)
			if err := l.Send(buffered, numbered(1)); err != nil {
				t.Fatal(err)
			}
			expectNumbered(t, session, 1, 1)
			if took := time.Since(dialled); took != 3*oneWay {
				t.Errorf("the first message was through after %v, want a round trip and a half: %v", took, 3*oneWay)
			}
			if err := session.Send(buffered, numbered(2)); err != nil {
				t.Fatal(err)
			}
			expectNumbered(t, l, 2, 2)
		}
		closeAll(t, l, session)
	})
}

// slow has all connections of the network take that long for each way.
func (s *stage) slow(oneWay time.Duration) {
	s.network.Apply(func(l *transporttest.Link) {
		l.SetDelay(transporttest.ToServer, oneWay)
		l.SetDelay(transporttest.ToClient, oneWay)
	})
}
