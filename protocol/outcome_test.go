package protocol

import (
	"context"
	"testing"

	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/transport"
)

// TestOutcomeReportedMeanwhile: what is reported while a call fails is not
// mistaken for what was known before.
func TestOutcomeReportedMeanwhile(t *testing.T) {
	for range 200000 {
		_, receipt := transport.WithReceipt(context.Background())
		r := &Reply[messages.ServerMessage]{receipt: receipt}
		reported := make(chan struct{})
		go func() {
			defer close(reported)
			receipt.Report(transport.Acked, true)
		}()
		if got := r.outcome(context.Canceled); got == transport.NotSent {
			t.Fatal("an acknowledged message is taken not to be sent")
		}
		<-reported
	}
}
