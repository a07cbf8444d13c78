package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/aip-go/aip/internal/bench/peer"
)

// serveVariable names, in the environment of a child process, the peer that it
// serves.
const serveVariable = "AIP_BENCH_SERVE"

// maxProcs is how many processors each of the two processes uses.
const maxProcs = 2

// Stats is what a process holds and has done.
type Stats struct {
	Goroutines int
	Bytes      uint64 // of heap and stacks, in use
	Mallocs    uint64 // since the start
}

// readStats collects garbage first if precise.
func readStats(precise bool) Stats {
	if precise {
		for range 2 { // what pools hold outlives one collection
			runtime.GC()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Stats{runtime.NumGoroutine(), m.HeapAlloc + m.StackInuse, m.Mallocs}
}

// Server is the serving side of a peer.
type Server interface {
	Addr() string
	// Stats returns those of the process that serves. Precise ones are those
	// after a collection of garbage.
	Stats(precise bool) (Stats, error)
	Close() error
}

// startServer starts the peer's server, in a process of its own if it can.
func startServer(p peer.Peer) (Server, error) {
	if p.InProcess {
		listener, err := p.Listen(peer.Serve)
		return localServer{listener}, err
	}
	return startProcess(p.Name)
}

type localServer struct{ peer.Listener }

func (localServer) Stats(precise bool) (Stats, error) { return readStats(precise), nil }

// process is a server in a process of its own: this program, once more.
type process struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	answers *json.Decoder
	addr    string
}

// request is a line that the parent writes, reply the answer to it. The first
// reply comes by itself.
type (
	request struct{ Precise bool }
	reply   struct {
		Addr  string
		Stats Stats
	}
)

func startProcess(name string) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &process{cmd: exec.Command(path)}
	s.cmd.Env = append(os.Environ(),
		serveVariable+"="+name,
		fmt.Sprintf("GOMAXPROCS=%d", maxProcs),
		"QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING=true")
	s.cmd.Stderr = os.Stderr
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.answers = json.NewDecoder(bufio.NewReader(stdout))
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	var first reply
	if err := s.answers.Decode(&first); err != nil {
		return nil, errors.Join(fmt.Errorf("the serving process of %s does not start: %w", name, err), s.Close())
	}
	s.addr = first.Addr
	return s, nil
}

func (s *process) Addr() string { return s.addr }

func (s *process) Stats(precise bool) (Stats, error) {
	if err := json.NewEncoder(s.stdin).Encode(request{precise}); err != nil {
		return Stats{}, err
	}
	var answer reply
	err := s.answers.Decode(&answer)
	return answer.Stats, err
}

// Close tells the process to end, and waits for it, or ends it when that takes
// too long.
func (s *process) Close() error {
	err := s.stdin.Close()
	overdue := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() }) // Wait reports it
	defer overdue.Stop()
	return errors.Join(err, s.cmd.Wait())
}

// serve is what such a process does: it serves the peer until in ends.
func serve(name string, in io.Reader, out io.Writer) error {
	p, ok := peer.Named(name)
	if !ok {
		return fmt.Errorf("no peer is called %q", name)
	}
	listener, err := p.Listen(peer.Serve)
	if err != nil {
		return err
	}
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	err = replies.Encode(reply{Addr: listener.Addr()})
	for err == nil {
		var r request
		if err = requests.Decode(&r); err == nil {
			err = replies.Encode(reply{Stats: readStats(r.Precise)})
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, listener.Close())
}
