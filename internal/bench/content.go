package main

import (
	"context"
	"errors"
	"time"

	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/internal/bench/stack"
)

// contentGroup is about content that is too large to hold.
var contentGroup = report.Group{
	Name: "content", Title: "100 MiB", Baseline: "nhooyr, stream",
	About: "100 MiB in one direction: as a stream (SendStream and ReceiveStream beside a Writer and a Reader of the engine), as one message that is held whole on both sides, or as a file of package protocol, which is written to a temporary folder and checked by its MD5. " +
		"The heap is what its objects take, garbage that is not collected yet included, looked at every millisecond and with Go's default collector: the highest figure, above that of the open connection after a collection. What is sent as one message is there before.",
}

func contentScenarios() []scenario {
	measure := of(contentGroup)
	direction := func(name, title string, down bool) scenario {
		s := scenario{measures: []report.Measure{
			measure("content-"+name, "100 MiB, "+title, mebibytes),
			less(measure("content-"+name+"-sender", "100 MiB, "+title+", heap of the sender", "MiB"), ""),
			less(measure("content-"+name+"-receiver", "100 MiB, "+title+", heap of the receiver", "MiB"), ""),
		}}
		for i, form := range stack.Forms() {
			s.contenders = append(s.contenders, contender{
				name: form.Name, ours: form.Ours, serves: stack.StreamService,
				take: func(ctx context.Context, t turn) ([]float64, error) { return t.content(ctx, i, down) },
			})
		}
		return s
	}
	return []scenario{
		direction("up", "client to server", false),
		direction("down", "server to client", true),
	}
}

// content sends content, and returns MiB per second, and the MiB by which the
// heaps of the sender and of the receiver grew at most.
func (t turn) content(ctx context.Context, form int, down bool) ([]float64, error) {
	s, err := stack.OpenStream(ctx, t.server.Addr(), form, t.Content, down)
	if err != nil {
		return nil, err
	}
	if err := t.server.Watch(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	here := startWatch()
	start := time.Now()
	err = s.Transfer(ctx)
	took := time.Since(start)
	sender := float64(here.stop()) / (1 << 20)
	there, peaking := t.server.Peak()
	receiver := float64(there) / (1 << 20)
	if down {
		sender, receiver = receiver, sender
	}
	speed := float64(t.Content) / (1 << 20) / took.Seconds()
	return []float64{speed, sender, receiver}, errors.Join(err, peaking, s.Close())
}
