package endpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/resilience"
	"github.com/aip-go/aip/transport"
)

// TestFileThroughCuts: with a session a file arrives once and whole, whenever
// its connection is cut, and for however short a time; without one, its sender
// is told that it did not, with an error of a type, and the next one arrives.
func TestFileThroughCuts(t *testing.T) {
	const chunks = 20
	content := make([]byte, chunks*1000)
	for i := range content {
		content[i] = byte(i * i >> 8)
	}
	outages := map[string]time.Duration{"at once": 0, "for a while": 30 * time.Second}
	for name, outage := range outages {
		for _, resume := range []bool{true, false} {
			for _, at := range []int64{0, 1, chunks / 2, chunks} {
				t.Run(fmt.Sprint(name, "/", resume, "/", at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						dir := t.TempDir()
						w := newWorld(t, &ServerOptions{Handler: noTasks, FileDir: dir})
						device := w.device(DeviceOptions{Reconnect: &ReconnectOptions{Strategy: quick{}, NoResume: !resume}})
						path := filepath.Join(t.TempDir(), "file")
						if err := os.WriteFile(path, content, 0o600); err != nil {
							t.Fatal(err)
						}
						n := int64(0)
						_, err := device.SendFile(soonIn(t, time.Hour), path, &protocol.SendFileOptions{ChunkSize: 1000, Progress: func(protocol.FileProgress) {
							if n == at {
								server := w.down()
								w.cable("dev").cut()
								if outage == 0 {
									w.up(server)
								} else {
									time.AfterFunc(outage, func() { w.up(server) })
								}
							}
							n++
						}})
						<-time.After(time.Minute)
						if resume {
							checkFiles(t, dir, content, 1)
							if err != nil {
								t.Errorf("SendFile returned %v", err)
							}
							if got := w.events.of(EventRefused); len(got) != 0 {
								t.Errorf("refused was %v", got)
							}
							if got := w.events.of(EventFile); len(got) != 1 || got[0].Err != nil {
								t.Errorf("observed %v", got)
							}
							return
						}
						var (
							failed *protocol.TransferError
							lost   *transport.CloseError
						)
						if !errors.As(err, &failed) || !errors.As(err, &lost) && !errors.Is(err, transport.ErrInterrupted) && !errors.Is(err, transport.ErrNotConnected) {
							if err != nil || at < chunks { // The last frame may be written before the loss is seen.
								t.Errorf("SendFile returned %v", err)
							}
						}
						if _, err := device.SendFile(soon(t), path, nil); err != nil {
							t.Errorf("the next SendFile returned %v", err)
						}
						synctest.Wait()
						checkFiles(t, dir, content, 1)
					})
				})
			}
		}
	}
}

// TestFileOfALostSession: a file whose session is lost in the middle does not
// arrive, its sender is told so, and the next one arrives.
func TestFileOfALostSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := &ServerOptions{Handler: noTasks, FileDir: t.TempDir()}
		w := newWorld(t, options)
		device := w.device(DeviceOptions{})
		content := make([]byte, 20_000)
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		n := 0
		_, err := device.SendFile(soon(t), path, &protocol.SendFileOptions{ChunkSize: 1000, Progress: func(protocol.FileProgress) {
			switch n++; n {
			case 5:
				old := w.down()
				w.cable("dev").cut()
				if err := old.Close(); err != nil {
					t.Error(err)
				}
			case 10: // of which some wait for a connection
				w.start(options)
				<-time.After(time.Second)
			}
		}})
		var failed *protocol.TransferError
		if !errors.As(err, &failed) || !errors.Is(err, transport.ErrInterrupted) {
			t.Errorf("SendFile returned %v", err)
		}
		if _, err := device.SendFile(soon(t), path, nil); err != nil {
			t.Errorf("the next SendFile returned %v", err)
		}
		<-time.After(5 * time.Minute)
		checkFiles(t, options.FileDir, content, 1)
		if got := w.of(EventDisconnected, "dev"); len(got) != 1 {
			t.Errorf("observed %v", got)
		}
		for i, got := range w.events.of(EventFile) {
			if i > 1 || i == 0 && errors.Is(got.Err, os.ErrNotExist) || i == 1 && got.Err != nil {
				t.Errorf("file %d: %v", i, got.Err)
			}
		}
	})
}

// checkFiles checks that n files with this content, and nothing else, are in dir.
func checkFiles(t *testing.T, dir string, content []byte, n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != n {
		t.Errorf("in the directory are %v, %v", entries, err)
	}
	for _, entry := range entries {
		got, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s has %d bytes, %v", entry.Name(), len(got), err)
		}
	}
}

// TestDeviceWithoutConnection: what a device cannot send now is an error that
// says so.
func TestDeviceWithoutConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ServerOptions{Handler: noTasks, FileDir: t.TempDir()})
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		device := w.device(DeviceOptions{Reconnect: &ReconnectOptions{NoResume: true, Strategy: quick{}}})
		server := w.down()
		w.cable("dev").cut()
		synctest.Wait()
		if _, err := device.SendFile(soon(t), path, nil); !errors.Is(err, ErrNotConnected) {
			t.Errorf("SendFile returned %v", err)
		}
		w.up(server)
		<-time.After(time.Second)
		if _, err := device.SendFile(soon(t), path, nil); err != nil {
			t.Errorf("SendFile returned %v", err)
		}
	})
}

// TestFullBuffer: who sends to a client that has lost its connection waits while
// the session's buffer is full: for the send timeout at most. Then the session
// is given up, as the client has missed something.
func TestFullBuffer(t *testing.T) {
	const n = 10
	for _, away := range []time.Duration{30 * time.Second, 90 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, &ServerOptions{Handler: func(context.Context, *Task) (any, error) {
					return strings.Repeat("x", 1<<20), nil
				}, Resume: &resilience.ResumerOptions{MaxBytes: 3 << 20}})
				device := w.device(DeviceOptions{})
				c, _ := w.constellation(ConstellationOptions{})
				server := w.down()
				w.cable("dev").cut()
				synctest.Wait()
				var tasks []*running
				for range n {
					tasks = append(tasks, run(c, TaskRequest{Request: "work"}))
				}
				for _, task := range tasks {
					if _, err := task.wait(); err != nil {
						t.Errorf("Run returned %v", err)
					}
				}
				<-time.After(away)
				synctest.Wait()
				ended := w.of(EventDisconnected, "dev")
				w.up(server)
				<-time.After(10 * time.Second) // The device acknowledges once a second.
				synctest.Wait()
				got := len(device.events.of(EventTaskEnded))
				if away < time.Minute {
					if len(ended) != 0 || w.resumed("dev") != 1 || got != n {
						t.Errorf("observed %v, resumed %d times, %d ends arrived", ended, w.resumed("dev"), got)
					}
				} else if len(ended) != 1 || !errors.Is(ended[0].Err, ErrSlowConsumer) || w.resumed("dev") != 0 || got != 0 {
					t.Errorf("observed %v, resumed %d times, %d ends arrived", ended, w.resumed("dev"), got)
				}
				if server.client("dev") == nil {
					t.Error("the device did not come back")
				}
				w.checkOneEnd(n)
				server.mu.Lock()
				defer server.mu.Unlock()
				if server.unended != 0 {
					t.Errorf("%d tasks are not over", server.unended)
				}
			})
		})
	}
}

// TestSlowServer: a server that does not read a heartbeat in time loses the
// connection of a constellation, or a device, and gets the next one.
func TestSlowServer(t *testing.T) {
	for _, name := range []string{"device", "constellation"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ends := make(chan transport.Transport, 16)
				dial := func(context.Context, string) (transport.Transport, error) {
					ours, theirs := transport.NewPair(&transport.MemoryOptions{QueueMessages: 1})
					t.Cleanup(func() { _ = theirs.Close() })
					ends <- theirs
					return ours, nil
				}
				reconnect := &ReconnectOptions{Strategy: quick{}}
				if name == "device" {
					w := newWorld(t, &ServerOptions{Handler: noTasks})
					w.device(DeviceOptions{Dial: dial, HeartbeatInterval: time.Second, SendTimeout: 10 * time.Second, Reconnect: reconnect})
				} else {
					c, _ := newConstellation(t, ConstellationOptions{
						Dial: dial, HeartbeatInterval: time.Second, SendTimeout: 10 * time.Second, Reconnect: reconnect,
					})
					go func() { _ = c.Connect(soon(t), "d", "ws://x/ws") }()
				}
				for i := range 3 {
					var p *peer
					select {
					case end := <-ends:
						p = &peer{t, end}
					case <-time.After(time.Minute):
						t.Fatalf("there was no connection after %d", i)
					}
					p.expect(object{"type": "register"})
					p.send(object{"type": "heartbeat", "status": "ok"})
					start := time.Now()
					_ = p.tr.WaitClosed(soonIn(t, time.Minute)) // and nothing is read
					if took := time.Since(start); took > 15*time.Second {
						t.Errorf("the connection was dropped after %v", took)
					}
				}
			})
		})
	}
}
