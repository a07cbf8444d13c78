package resilience_test

import (
	"io"
	"syscall"
	"time"

	"github.com/aip-go/aip/transport/transporttest"
)

// latestCable returns the latest memory connection; nil if there is none.
func (w *world) latestCable() *memoryCable {
	if w.memory == nil {
		return nil
	}
	return w.memory.latest()
}

// cut ends the latest connection.
func (w *world) cut(side int) { w.fault(faultCut, side, 0, 0) }

// fault breaks the latest connection in one of the ways there are.
func (w *world) fault(kind, side, after int, pause time.Duration) {
	if w.memory != nil {
		w.memory.fault(kind, side, after, pause)
		return
	}
	links := w.stage.network.Links()
	if len(links) == 0 {
		return
	}
	link, d := links[len(links)-1], transporttest.Directions[side]
	switch kind {
	case faultCut:
		link.Cut(cutErrors[after%len(cutErrors)])
	case faultCutAfter:
		link.CutAfter(d, link.Written(d)+int64(after*17), cutErrors[after%len(cutErrors)])
	case faultStall:
		link.Stall(d)
		time.Sleep(pause * 4)
		link.Resume(d)
	case faultLate:
		link.SetDelay(d, pause)
		time.Sleep(pause)
		link.SetDelay(d, 0)
	case faultBlackHole:
		link.BlackHole(d) // Pings find out.
		time.Sleep(pause)
	case faultDeadStall:
		link.Stall(d) // Pings find out, too.
		time.Sleep(pause)
	}
}

var cutErrors = []error{nil, io.ErrUnexpectedEOF, syscall.ECONNRESET}

// healLink ends the faults that can be ended.
func healLink(l *transporttest.Link) {
	for _, d := range transporttest.Directions {
		l.Resume(d)
		l.SetDelay(d, 0)
	}
}
