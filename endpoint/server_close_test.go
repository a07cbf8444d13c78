package endpoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aip-go/aip/protocol"
	"github.com/aip-go/aip/transport"
)

// TestClose: running tasks end as failed, connections with 1001, and nothing
// new is taken on.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, constellation := trio(t, &ServerOptions{Handler: untilCancelled})
		unregistered, result := server.connectResult()
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		for range 2 {
			if err := server.Close(); err != nil {
				t.Fatal(err)
			}
		}
		end := object{"type": "task_end", "status": "failed", "session_id": "s"}
		constellation.expect(end)
		device.expect(end)
		for _, p := range []*peer{device, constellation, unregistered} {
			if code := p.expectClose(); code != transport.StatusGoingAway {
				t.Errorf("closed with %v", code)
			}
		}
		if err := <-result; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		late, result := server.connectResult()
		if code := late.expectClose(); code != transport.StatusGoingAway {
			t.Errorf("closed with %v", code)
		}
		if err := <-result; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
		if left := server.Clients(); len(left) != 0 {
			t.Errorf("%v are left", left)
		}
	})
}

// TestShutdown: running tasks come to their end, new ones are refused.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, constellation := trio(t, &ServerOptions{Handler: recordedHandler})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		down := make(chan error, 1)
		go func() { down <- server.Shutdown(context.Background()) }()
		synctest.Wait()

		device.answerCommand("done")
		constellation.task("dev", "late", "work")
		constellation.expect(object{"type": "error", "session_id": "late"})
		constellation.expect(object{"type": "task_end", "status": "failed", "session_id": "late"})
		newcomer := server.connect()
		if code := newcomer.expectClose(); code != transport.StatusGoingAway {
			t.Errorf("closed with %v", code)
		}
		device.answerCommand("done")
		constellation.expect(object{"type": "task_end", "status": "completed", "session_id": "s"})
		device.expect(object{"type": "task_end", "status": "completed"})
		if err := <-down; err != nil {
			t.Errorf("Shutdown returned %v", err)
		}
		for _, p := range []*peer{device, constellation} {
			if code := p.expectClose(); code != transport.StatusGoingAway {
				t.Errorf("closed with %v", code)
			}
		}
	})
}

// TestShutdownInTime: when its context ends, Shutdown cuts tasks off.
func TestShutdownInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, device, constellation := trio(t, &ServerOptions{Handler: untilCancelled})
		constellation.task("dev", "s", "work")
		constellation.accepted("s")
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown returned %v", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it took %v", took)
		}
		constellation.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
		device.expect(object{"type": "task_end", "status": "failed", "session_id": "s"})
	})
}

// TestCloseDoesNotWaitForTheSlow: a client that does not read holds Close up
// for a few seconds only.
func TestCloseDoesNotWaitForTheSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: untilCancelled, SendTimeout: -1})
		client, inner := transport.NewPair(&transport.MemoryOptions{QueueMessages: 2})
		defer client.Close()
		go func() { _ = server.Serve(context.Background(), inner) }()
		slow := &peer{t, client}
		slow.send(register("slow"))
		slow.send(object{"type": "task", "status": "continue", "request": "x"})
		synctest.Wait()
		start := time.Now()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != farewellTimeout {
			t.Errorf("Close took %v", took)
		}
	})
}

// TestServeContext: the end of Serve's context closes its connection.
func TestServeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := startServer(t, &ServerOptions{Handler: noTasks})
		client, inner := transport.NewPair(nil)
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- server.Serve(ctx, inner) }()
		p := &peer{t, client}
		p.send(register("d"))
		p.expect(object{"type": "heartbeat"})
		cancel()
		if code := p.expectClose(); code != transport.StatusGoingAway {
			t.Errorf("closed with %v", code)
		}
		if err := <-result; err != nil {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// TestFiles: a file that a client sends is in the directory, under a safe
// name, and observed with its checksum; one that is wrong is observed too, and
// the connection stays open.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{}
	files := make(chan Event, 1)
	server := startServer(t, &ServerOptions{Handler: noTasks, FileDir: dir, Observer: func(e Event) {
		r.observe(e)
		if e.Kind == EventFile {
			files <- e
		}
	}})
	p := server.device("dev")
	binary := transport.Frame{Kind: transport.Binary, Data: []byte("abc")}
	start := `{"type":"file_transfer_start","filename":"../f.txt","size":3,"chunk_size":3,"total_chunks":1}`
	chunk := text(`{"chunk_num":0,"chunk_size":3,"type":"binary_data","size":3}`)
	p.sendFrames(text(start), chunk, binary, text(`{"type":"file_transfer_complete","filename":"../f.txt","total_chunks":1,"checksum":"900150983cd24fb0d6963f7d28e17f72"}`))
	e := <-files
	if e.Err != nil || e.ClientID != "dev" || !e.File.Verified || e.File.MD5 != "900150983cd24fb0d6963f7d28e17f72" {
		t.Fatalf("observed %+v", e)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "f.txt")); err != nil || string(got) != "abc" {
		t.Errorf("the file is %q, %v", got, err)
	}
	p.sendFrames(text(start), chunk, binary, text(`{"type":"file_transfer_complete","filename":"../f.txt","total_chunks":1,"checksum":"00000000000000000000000000000000"}`))
	if e := <-files; !errors.Is(e.Err, protocol.ErrChecksum) {
		t.Errorf("observed %+v", e)
	}
	stillOpen(p)
}

func TestFileDirIsMissing(t *testing.T) {
	if _, err := NewServer(&ServerOptions{Handler: noTasks, FileDir: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("NewServer returned %v", err)
	}
}
