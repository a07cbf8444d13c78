package transport_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport"
)

func TestDelivery(t *testing.T) {
	ctx := context.Background()
	if got := transport.DeliveryOf(ctx); got != transport.FailNow {
		t.Errorf("by default %s", got)
	}
	for delivery, text := range map[transport.Delivery]string{
		transport.FailNow: "fail now", transport.Buffered: "buffered", transport.Volatile: "volatile", 9: "delivery(9)",
	} {
		if got := transport.DeliveryOf(transport.WithDelivery(ctx, delivery)); got != delivery || got.String() != text {
			t.Errorf("asked for %s, got %s", text, got)
		}
	}
	outer := transport.WithDelivery(ctx, transport.Buffered)
	if got := transport.DeliveryOf(transport.WithDelivery(outer, transport.FailNow)); got != transport.FailNow {
		t.Errorf("the innermost counts, got %s", got)
	}
}

func TestReceipt(t *testing.T) {
	ctx, receipt := transport.WithReceipt(context.Background())
	if transport.ReceiptOf(ctx) != receipt || transport.ReceiptOf(context.Background()) != nil {
		t.Error("the receipt is not the context's")
	}
	if _, other := transport.WithReceipt(ctx); other == receipt {
		t.Error("two messages have one receipt")
	}
	transport.ReceiptOf(context.Background()).Report(transport.Acked, true)
	for _, step := range []struct {
		report transport.Outcome
		final  bool
		want   transport.Outcome
		done   bool
	}{
		{transport.NotSent, false, transport.NotSent, false},
		{transport.Sent, false, transport.Sent, false},
		{transport.MaybeSent, false, transport.MaybeSent, false},
		{transport.Acked, true, transport.Acked, true},
		{transport.NotSent, false, transport.Acked, true},
		{transport.NotSent, true, transport.Acked, true},
	} {
		receipt.Report(step.report, step.final)
		done := false
		select {
		case <-receipt.Done():
			done = true
		default:
		}
		if got := receipt.Outcome(); got != step.want || done != step.done {
			t.Errorf("after the report %s (final: %v): %s, done: %v", step.report, step.final, got, done)
		}
	}
}

func TestReceiptWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, receipt := transport.WithReceipt(context.Background())
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		receipt.Report(transport.Sent, false)
		if got, err := receipt.Wait(ctx); got != transport.Sent || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before the end: %s, %v", got, err)
		}
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				if got, err := receipt.Wait(context.Background()); got != transport.Acked || err != nil {
					t.Errorf("%s, %v", got, err)
				}
			})
		}
		synctest.Wait()
		for range 3 {
			waiting.Go(func() { receipt.Report(transport.Acked, true) })
		}
		waiting.Wait()
		if got, err := receipt.Wait(context.Background()); got != transport.Acked || err != nil {
			t.Errorf("afterwards: %s, %v", got, err)
		}
	})
}
