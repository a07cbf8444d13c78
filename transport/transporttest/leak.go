package transporttest

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"
)

// label marks the goroutines of one trial: a goroutine inherits the profiler
// labels of the one that started it.
type label string

const labelKey = "transporttest"

var labels atomic.Int64

func newLabel(name string) label {
	return label(fmt.Sprintf("%s %d", name, labels.Add(1)))
}

func (l label) set() pprof.LabelSet { return pprof.Labels(labelKey, string(l)) }

// goroutines returns the stacks of the goroutines with the label; it is empty
// when there are none.
func (l label) goroutines() string {
	var profile bytes.Buffer
	// A buffer takes everything, and 1 asks for text with labels.
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	mark := fmt.Sprintf("%q:%q", labelKey, string(l))
	var found strings.Builder
	for group := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(group, mark) {
			found.WriteString(group + "\n\n")
		}
	}
	return found.String()
}

// wait waits until the goroutines have ended and returns those that do not. In
// a bubble, those that are on their way get there while this one waits; on
// sockets they get two seconds.
func (l label) wait(carrier Carrier) string {
	if carrier != Sockets {
		synctest.Wait()
		return l.goroutines()
	}
	deadline := time.After(2 * time.Second)
	pause := time.NewTicker(time.Millisecond)
	defer pause.Stop()
	for {
		left := l.goroutines()
		if left == "" {
			return ""
		}
		select {
		case <-pause.C:
		case <-deadline:
			return left
		}
	}
}
