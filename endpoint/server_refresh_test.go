package endpoint

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/messages"
)

// info asks about "dev" and returns the host name in the answer, and how long it
// took.
func (p *peer) info() (host string, took time.Duration) {
	p.t.Helper()
	start := time.Now()
	p.send(object{"type": "device_info_request", "status": "ok", "client_type": "constellation", "target_id": "dev", "request_id": "q"})
	m := p.expect(object{"type": "device_info_response", "response_id": "q"})
	return fmt.Sprint(m["result"].(map[string]any)["hostname"]), time.Since(start)
}

func (p *peer) says(host string) {
	p.send(object{"type": "device_info_response", "status": "ok", "metadata": object{"hostname": host}})
}

// TestStaleInfoIsRefreshed: what is known of a device is asked for again when it
// is too old, once for all who ask; who does not answer is asked once, and then
// again when it says something by itself.
func TestStaleInfoIsRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks, DeviceInfoAge: time.Minute})
		device := server.device("dev")
		c, other := server.constellation("c", "dev"), server.constellation("o", "dev")
		expect := func(want string, wait time.Duration) {
			t.Helper()
			if host, took := c.info(); host != want || took != wait {
				t.Errorf("got %q after %v, want %q after %v", host, took, want, wait)
			}
		}
		expect("host of dev", 0) // It is fresh.
		<-time.After(time.Minute)

		asked := make(chan string, 2)
		for _, p := range []*peer{c, other} {
			go func() { host, _ := p.info(); asked <- host }()
		}
		device.expect(object{"type": "device_info_request", "status": "ok"})
		synctest.Wait()
		if device.waiting() != 0 {
			t.Error("the device is asked twice at a time")
		}
		device.says("second")
		for range 2 {
			select {
			case host := <-asked:
				if host != "second" {
					t.Errorf("got %q", host)
				}
			case <-soon(t).Done():
				t.Fatal("no answer")
			}
		}
		if host := hostOf(server); host != "second" {
			t.Errorf("Clients has %q", host)
		}

		<-time.After(time.Minute)
		// The device does not answer any more. Messages of who asked do not wait, and
		// neither does another question.
		ask := object{"type": "device_info_request", "status": "ok", "client_type": "constellation", "target_id": "dev"}
		start := time.Now()
		for _, id := range []string{"slow", "quick"} {
			ask["request_id"] = id
			c.send(ask)
			synctest.Wait()
		}
		c.send(object{"type": "heartbeat", "status": "ok", "client_type": "constellation"})
		c.expect(object{"type": "device_info_response", "response_id": "quick"})
		c.expect(object{"type": "heartbeat"})
		if took := time.Since(start); took != 0 {
			t.Errorf("they waited for %v", took)
		}
		c.expect(object{"type": "device_info_response", "response_id": "slow"})
		if took := time.Since(start); took != refreshWait {
			t.Errorf("the answer came after %v", took)
		}
		device.expect(object{"type": "device_info_request"})
		expect("second", 0) // It is not asked again.
		device.says("third")
		<-time.After(30 * time.Second)
		expect("third", 0)
		<-time.After(time.Minute)
		go func() {
			device.expect(object{"type": "device_info_request"})
			device.says("fourth")
		}()
		expect("fourth", 0)
		for _, odd := range []any{nil, "text", []any{1}, object{"x": strings.Repeat("x", maxInfoSize)}} {
			device.send(object{"type": "device_info_response", "status": "ok", "metadata": odd})
		}
		other.send(object{"type": "device_info_response", "status": "ok", "client_type": "constellation", "metadata": object{"hostname": "evil"}})
		synctest.Wait()
		expect("fourth", 0)
		device.close()
	})
}

func hostOf(s *testServer) string {
	for _, c := range s.Clients() {
		if c.ID == "dev" {
			return fmt.Sprint(parse(s.t, c.SystemInfo.String())["hostname"])
		}
	}
	return ""
}

// TestInfoOfRealDevice: a device of this package answers; with a negative age it
// is not asked.
func TestInfoOfRealDevice(t *testing.T) {
	for age, want := range map[time.Duration]int{time.Minute: 1, 0: 0, -1: 0} {
		t.Run(age.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: noTasks, DeviceInfoAge: age})
				w.device(DeviceOptions{SystemInfo: &messages.SystemInfo{Hostname: "box"}})
				c, _ := w.constellation(ConstellationOptions{})
				<-time.After(5 * time.Minute)
				start := time.Now()
				info, err := c.DeviceInfo(context.Background(), "dev")
				if err != nil || !strings.Contains(info.String(), `"box"`) || time.Since(start) > time.Second {
					t.Errorf("got %v, %v after %v", info, err, time.Since(start))
				}
				asked := 0
				cable := w.cable("dev")
				cable.mu.Lock()
				defer cable.mu.Unlock()
				for _, text := range cable.toClient {
					if strings.Contains(text, `"device_info_request"`) {
						asked++
					}
				}
				if asked != want {
					t.Errorf("the device was asked %d times", asked)
				}
			})
		})
	}
}
