package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// toxic is a toxic of toxiproxy with its attributes.
type toxic struct {
	kind       string
	attributes map[string]any
}

// The directions of a line.
const (
	upstream   = "upstream"   // to the server
	downstream = "downstream" // from the server
)

var bothWays = []string{upstream, downstream}

// line is a proxy between a part and the server. A test uses it from one
// goroutine.
type line struct {
	t      *testing.T
	proxy  *toxiproxy.Proxy
	url    string   // where a part dials; it stays the same
	toxics []string // names, in the order of their addition
}

var (
	toxiproxies = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	lines       atomic.Uint32
)

// newLine returns a line to server that lasts as long as the test.
func newLine(t *testing.T, server net.Addr) *line {
	t.Helper()
	// An address of its own, where there is more than one, so that nobody else
	// takes the port of a line that is down.
	n, host := lines.Add(1), "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.77.%d.%d", n>>7&255, n&127+1)
	}
	l := &line{t: t, proxy: toxiproxy.NewProxy(toxiproxies, fmt.Sprint(n), net.JoinHostPort(host, "0"), server.String())}
	l.up()
	l.url = "ws://" + l.proxy.Listen
	t.Cleanup(func() {
		l.clear()
		l.down()
	})
	return l
}

// down cuts all connections, and refuses new ones.
func (l *line) down() { within(l.t, "a proxy to stop", l.proxy.Stop) }

// up takes connections again.
func (l *line) up() {
	l.t.Helper()
	var err error
	within(l.t, "a proxy to start", func() { err = l.proxy.Start() })
	if err != nil {
		l.t.Fatal(err)
	}
}

// add poisons the line in the given directions: the connections that there are,
// and those to come.
func (l *line) add(directions []string, toxics ...toxic) {
	l.t.Helper()
	for _, direction := range directions {
		for _, x := range toxics {
			name := x.kind + "_" + direction
			text, err := json.Marshal(map[string]any{
				"name": name, "type": x.kind, "stream": direction, "toxicity": 1.0, "attributes": x.attributes,
			})
			if err != nil {
				l.t.Fatal(err)
			}
			within(l.t, "toxiproxy to add "+name, func() { _, err = l.proxy.Toxics.AddToxicJson(bytes.NewReader(text)) })
			if err != nil {
				l.t.Fatal(err)
			}
			l.toxics = append(l.toxics, name)
		}
	}
}

// clear removes all toxics. Where that is how a toxic is, it ends the
// connections that it was on.
func (l *line) clear() {
	l.t.Helper()
	// The last one first: one that delays the close of a connection is not
	// found behind one that has closed it.
	for _, name := range slices.Backward(l.toxics) {
		var err error
		within(l.t, "toxiproxy to remove "+name, func() { err = l.proxy.Toxics.RemoveToxic(context.Background(), name) })
		if err != nil {
			l.t.Fatal(err)
		}
	}
	l.toxics = nil
}
