package protocol

import (
	"maps"
	"sync"
	"time"

	"github.com/aip-go/aip/messages"
)

// Metrics are the counts of a [MetricsMiddleware].
type Metrics struct {
	MessagesSent           uint64
	MessagesReceived       uint64
	BytesSent              uint64
	BytesReceived          uint64
	ConnectionsEstablished uint64
	ConnectionsClosed      uint64
	Errors                 uint64
	// MessageTypes counts the messages that were sent by type.
	MessageTypes map[string]uint64
	// Latencies is how many answers were timed: those to device info requests
	// and to commands, which carry the id of what they answer. The others are
	// their mean, longest and shortest times, zero if there are none.
	Latencies  uint64
	AvgLatency time.Duration
	MaxLatency time.Duration
	MinLatency time.Duration
}

// MetricsMiddleware is an [Extension] that counts. Its memory is bounded: it
// keeps no list of latencies, and waits for at most 1024 answers. One may
// serve many connections. All methods may be called concurrently.
type MetricsMiddleware struct {
	mu      sync.Mutex
	metrics Metrics
	total   time.Duration
	// asked are the times of the messages that may be answered, by id; oldest
	// are their ids by age.
	asked  map[string]time.Time
	oldest []string
}

// maxAsked bounds the messages whose answers are timed, maxTypes the types
// that are counted one by one.
const (
	maxAsked = 1024
	maxTypes = 64
)

// otherTypes counts the types beyond maxTypes.
const otherTypes = "other"

var _ Extension = (*MetricsMiddleware)(nil)

// NewMetricsMiddleware returns a middleware that has counted nothing.
func NewMetricsMiddleware() *MetricsMiddleware { return &MetricsMiddleware{} }

// Snapshot returns the counts so far. The caller owns the map.
func (x *MetricsMiddleware) Snapshot() Metrics {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.metrics
	s.MessageTypes = maps.Clone(x.metrics.MessageTypes)
	if s.MessageTypes == nil {
		s.MessageTypes = map[string]uint64{}
	}
	if s.Latencies > 0 {
		s.AvgLatency = x.total / time.Duration(s.Latencies)
	}
	return s
}

// Reset begins to count anew.
func (x *MetricsMiddleware) Reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.metrics, x.total, x.asked, x.oldest = Metrics{}, 0, nil, nil
}

// MessageSent implements [Extension].
func (x *MetricsMiddleware) MessageSent(m MessageInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.metrics.MessagesSent++
	x.metrics.BytesSent += uint64(m.Size)
	if x.metrics.MessageTypes == nil {
		x.metrics.MessageTypes = map[string]uint64{}
	}
	name := m.Type
	if _, known := x.metrics.MessageTypes[name]; !known && len(x.metrics.MessageTypes) >= maxTypes {
		name = otherTypes
	}
	x.metrics.MessageTypes[name]++
	switch m.Type {
	case string(messages.ClientDeviceInfoRequest):
		x.ask(m.RequestID)
	case string(messages.ServerCommand):
		x.ask(m.ResponseID)
	}
}

// MessageReceived implements [Extension].
func (x *MetricsMiddleware) MessageReceived(m MessageInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.metrics.MessagesReceived++
	x.metrics.BytesReceived += uint64(m.Size)
	for _, id := range [...]string{m.PrevResponseID, m.ResponseID} {
		if asked, ok := x.asked[id]; ok {
			delete(x.asked, id)
			x.answered(time.Since(asked))
			return
		}
	}
}

// ConnectionEstablished implements [Extension].
func (x *MetricsMiddleware) ConnectionEstablished() { x.count(&x.metrics.ConnectionsEstablished) }

// ConnectionClosed implements [Extension].
func (x *MetricsMiddleware) ConnectionClosed(error) { x.count(&x.metrics.ConnectionsClosed) }

// ErrorOccurred implements [Extension].
func (x *MetricsMiddleware) ErrorOccurred(string, error) { x.count(&x.metrics.Errors) }

func (x *MetricsMiddleware) count(counter *uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	*counter++
}

// ask notes when id was sent. The middleware is locked.
func (x *MetricsMiddleware) ask(id string) {
	if id == "" {
		return
	}
	if x.asked == nil {
		x.asked = map[string]time.Time{}
	}
	if len(x.oldest) >= maxAsked {
		delete(x.asked, x.oldest[0])
		x.oldest = x.oldest[1:]
	}
	x.asked[id] = time.Now()
	x.oldest = append(x.oldest, id)
}

// answered adds a latency. The middleware is locked.
func (x *MetricsMiddleware) answered(latency time.Duration) {
	s := &x.metrics
	if s.Latencies == 0 || latency < s.MinLatency {
		s.MinLatency = latency
	}
	s.MaxLatency = max(s.MaxLatency, latency)
	s.Latencies++
	x.total += latency
}
