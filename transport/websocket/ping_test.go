package websocket_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport/websocket"
)

// Protects: the count of pings from peers that answer the latest one only, or
// what they were not asked (RFC 6455 section 5.5.3).
func TestPongAnswersEarlierPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := 0
		p := newPlace(t, &websocket.Options{
			PingInterval: time.Second, PingJitter: -1, PingTimeout: time.Hour,
			Hooks: websocket.Hooks{Ping: func(time.Duration) { answered++ }},
		})
		client := p.rawClient(t)
		accepted, err := p.accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		server := accepted.(*websocket.Transport)
		time.Sleep(time.Minute)
		var sent []string
		for range 8 { // and no more
			f := client.next()
			if f.opcode != opPing {
				t.Fatalf("got a frame with opcode %x", f.opcode)
			}
			sent = append(sent, string(f.payload))
		}
		pong := func(payload string, want int) {
			t.Helper()
			client.send(rawFrame{fin: true, opcode: opPong, payload: []byte(payload)})
			synctest.Wait()
			if answered != want {
				t.Errorf("%d pings are answered after %q, want %d", answered, payload, want)
			}
		}
		for _, strange := range []string{"", "x", "-1", "1000", "99999999999999999999", "1 "} {
			pong(strange, 0)
		}
		pong(sent[2], 3)
		pong(sent[1], 3)
		pong(sent[2], 3)
		pinged := make(chan error, 1)
		go func() { pinged <- server.Ping(t.Context()) }()
		synctest.Wait()
		pong(sent[7], 8)
		if err := <-pinged; err != nil {
			t.Errorf("Ping: %v", err)
		}
		slices.Sort(sent)
		if len(slices.Compact(sent)) != 8 {
			t.Errorf("pings are alike: %s", fmt.Sprint(sent))
		}
		closeRaw(t, client, server)
	})
}
