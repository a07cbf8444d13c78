package websocket

import (
	"net/http"
	"testing"
	"time"

	"github.com/aip-go/aip/transport"
)

func TestOptions(t *testing.T) {
	type values struct {
		interval, timeout, write, closing, handshake time.Duration
		jitter                                       float64
		size, receive, send                          int64
		messages                                     int
	}
	defaults := values{30 * time.Second, 180 * time.Second, 60 * time.Second, 10 * time.Second, 10 * time.Second, 0.1, 100 << 20, 1 << 20, 1 << 20, 256}
	local := defaults
	local.interval, local.timeout, local.closing = 15*time.Second, 45*time.Second, 5*time.Second
	own := local
	own.interval = time.Second
	for name, c := range map[string]struct {
		opts *Options
		want values
	}{
		"nil":     {nil, defaults},
		"zero":    {&Options{}, defaults},
		"profile": {&Options{Profile: transport.ProfileLocal}, local},
		"own":     {&Options{Profile: transport.ProfileLocal, PingInterval: time.Second}, own},
		"partial": {&Options{Profile: transport.Profile{PingInterval: 15 * time.Second, PingTimeout: 45 * time.Second, CloseTimeout: 5 * time.Second}}, local},
		"off": {&Options{
			PingInterval: -1, PingTimeout: -1, WriteTimeout: -1, HandshakeTimeout: -1, PingJitter: -1,
			MaxMessageSize: -1, ReceiveQueueBytes: -1, SendQueueBytes: -1, ReceiveQueueMessages: -1,
		}, values{closing: 10 * time.Second}},
	} {
		s := resolve(c.opts)
		got := values{
			s.PingInterval, s.PingTimeout, s.WriteTimeout, s.CloseTimeout, s.HandshakeTimeout, s.PingJitter,
			s.MaxMessageSize, s.ReceiveQueueBytes, s.SendQueueBytes, s.ReceiveQueueMessages,
		}
		if got != c.want || s.err != nil {
			t.Errorf("%s: %+v, %v; want %+v", name, got, s.err, c.want)
		}
	}

	opts := &Options{Header: http.Header{"A": {"b"}}, Subprotocols: []string{"aip"}}
	s := resolve(opts)
	opts.Header.Set("A", "changed")
	opts.Subprotocols[0] = "changed"
	if s.Header.Get("A") != "b" || s.Subprotocols[0] != "aip" {
		t.Error("the options are not copied")
	}
}
