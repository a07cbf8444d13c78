package endpoint

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

// TestBinaryMessageIsOne: the two frames of a binary message count as one message
// and with all their bytes, whichever way they are received; data that nothing
// has announced counts as a message.
func TestBinaryMessageIsOne(t *testing.T) {
	text, data := transport.Frame{Kind: transport.Text, Data: []byte("{}")}, transport.Frame{Kind: transport.Binary, Data: make([]byte, 98)}
	for _, test := range []struct {
		name   string
		limits Limits
		frames []transport.Frame // sent twenty times
		took   time.Duration
		err    error
	}{
		{"messages", Limits{MessageRate: 10, MessageBurst: 10, MaxDelay: time.Minute}, []transport.Frame{text, data}, time.Second, nil},
		{"messages without end", Limits{MessageRate: 10, MessageBurst: 10, MaxDelay: 500 * time.Millisecond}, []transport.Frame{text, data}, 500 * time.Millisecond, ErrRateExceeded},
		{"bytes", Limits{ByteRate: 1000, ByteBurst: 1000, MaxDelay: time.Minute}, []transport.Frame{text, data}, time.Second, nil},
		{"data alone", Limits{MessageRate: 10, MessageBurst: 10, MaxDelay: time.Minute}, []transport.Frame{data}, time.Second, nil},
		{"data twice", Limits{MessageRate: 10, MessageBurst: 20, MaxDelay: time.Minute}, []transport.Frame{text, data, data}, 2 * time.Second, nil},
	} {
		for _, frames := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, frames %v", test.name, frames), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := transport.NewPair(nil)
					defer near.Close()
					defer far.Close()
					wrapped, h := hear(far)
					receive := func() error {
						_, err := wrapped.Receive(t.Context())
						if other := new(transport.FrameTypeError); errors.As(err, &other) {
							return nil
						}
						return err
					}
					if frames {
						receive = func() error {
							_, err := wrapped.(transport.FrameTransport).ReceiveFrame(t.Context())
							return err
						}
					}
					limits := test.limits.withDefaults()
					h.pace.Store(newPace(limits, func(error) { far.Abort(errCut) }))
					start := time.Now()
					var err error
					for range 20 {
						if err := near.SendFrames(t.Context(), test.frames...); err != nil {
							t.Fatal(err)
						}
						for range test.frames {
							if err = receive(); err != nil {
								break
							}
						}
						if err != nil {
							break
						}
					}
					if took := time.Since(start); !errors.Is(err, test.err) || took < test.took*9/10 || took > test.took*11/10 {
						t.Errorf("it took %v, %v; want %v, %v", took, err, test.took, test.err)
					}
				})
			})
		}
	}
}
