package websocket_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/transport/websocket"
)

// Protects: whoever waits for as long as a server asks for, from what servers
// write there.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"":                              -1,
			"soon":                          -1,
			"-1":                            -1,
			"1.5":                           -1,
			"0":                             0,
			"120":                           2 * time.Minute,
			"2147483648":                    (1 << 31) * time.Second,
			"9223372036854775807":           (1 << 31) * time.Second,
			"99999999999999999999":          -1,
			"Fri, 31 Dec 1999 23:59:59 GMT": 0,
			"Sat, 01 Jan 2000 00:01:00 GMT": time.Minute, // The bubble's clock begins at midnight.
		} {
			refused := &websocket.HandshakeError{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {value}}}
			if got, ok := refused.RetryAfter(); ok != (want >= 0) || ok && got != want {
				t.Errorf("%q: %v, %v; want %v", value, got, ok, want)
			}
		}
		if _, ok := (&websocket.HandshakeError{}).RetryAfter(); ok {
			t.Error("no header, and yet a wait")
		}
	})
}
