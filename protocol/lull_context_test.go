package protocol

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/internal/lazyctx"
	"github.com/aip-go/aip/messages"
)

// TestContextAmongLateReplies: a caller who reads leaves when its context ends,
// also if what comes all the time is for nobody.
func TestContextAmongLateReplies(t *testing.T) {
	const patient = 50 * time.Millisecond
	contexts := map[string]func(context.Context) context.Context{
		"timeout": func(ctx context.Context) context.Context {
			return lazyctx.WithTimeoutCause(ctx, patient, nil)
		},
		"owner": func(ctx context.Context) context.Context {
			c := lazyctx.WithCancelCause(ctx)
			time.AfterFunc(patient, func() { c.Cancel(nil) })
			return c
		},
		"below": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancel(lazyctx.WithCancelCause(ctx))
			time.AfterFunc(patient, cancel)
			return ctx
		},
	}
	for name, bounded := range contexts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, s := newPair(t, nil, nil)
				as(c, messages.Constellation)
				var answered *messages.ClientMessage
				asked := 0
				s.Handle(messages.ClientDeviceInfoRequest, func(ctx context.Context, m *messages.ClientMessage) error {
					if asked++; asked <= calm+1 {
						answered = m
						return AnswerDeviceInfo(ctx, s, m, value(t, map[string]any{"a": 1}))
					}
					var err error
					for began := time.Now(); err == nil && time.Since(began) < 4*patient; time.Sleep(lullPatience / 4) {
						err = AnswerDeviceInfo(ctx, s, answered, value(t, map[string]any{"a": 1}))
					}
					return err
				})
				running(t, s)
				running(t, c)
				l := &lulled{t: t, c: c, s: s}
				l.begin()
				began := time.Now()
				_, err := RequestDeviceInfo(bounded(t.Context()), c, "dev")
				if ctxErr := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded); !ctxErr {
					t.Errorf("call: %v", err)
				}
				l.soon("to leave", began.Add(patient))
			})
		})
	}
}
