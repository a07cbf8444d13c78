package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/aip-go/aip/internal/bench/peer"
	"github.com/aip-go/aip/internal/bench/stack"
)

// serveVariable names, in the environment of a child process, the peer or the
// service that it is, and profilesVariable the folder for its profiles.
const (
	serveVariable    = "AIP_BENCH_SERVE"
	profilesVariable = "AIP_BENCH_PROFILES"
)

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

// Server is the serving side of a peer, or a service.
type Server interface {
	Addr() string
	// Stats returns those of the process that serves. Precise ones are those
	// after a collection of garbage.
	Stats(precise bool) (Stats, error)
	// Watch begins to watch the heap of the process that serves, and Peak ends
	// that and returns by how many bytes it has grown at most.
	Watch() error
	Peak() (uint64, error)
	Close() error
}

// start starts what serves the contender, in a process of its own if it can.
func (c contender) start(profiles string) (Server, error) {
	if c.peer.InProcess {
		listener, err := c.peer.Listen(peer.Serve)
		return &localServer{Listener: listener}, err
	}
	return startProcess(c.serves, profiles)
}

type localServer struct {
	peer.Listener
	watch *watch
}

func (*localServer) Stats(precise bool) (Stats, error) { return readStats(precise), nil }

func (s *localServer) Watch() error {
	s.watch = startWatch()
	return nil
}

func (s *localServer) Peak() (uint64, error) { return s.watch.stop(), nil }

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
	request struct{ Precise, Watch, Peak bool }
	reply   struct {
		Addr  string
		Stats Stats
		Peak  uint64
	}
)

func startProcess(name, profiles string) (*process, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &process{cmd: exec.Command(path)}
	s.cmd.Env = append(os.Environ(),
		serveVariable+"="+name,
		profilesVariable+"="+profiles,
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
	answer, err := s.ask(request{Precise: precise})
	return answer.Stats, err
}

func (s *process) Watch() error {
	_, err := s.ask(request{Watch: true})
	return err
}

func (s *process) Peak() (uint64, error) {
	answer, err := s.ask(request{Peak: true})
	return answer.Peak, err
}

func (s *process) ask(r request) (answer reply, err error) {
	if err := json.NewEncoder(s.stdin).Encode(r); err != nil {
		return answer, err
	}
	err = s.answers.Decode(&answer)
	return answer, err
}

// Close tells the process to end, and waits for it, or ends it when that takes
// too long.
func (s *process) Close() error {
	err := s.stdin.Close()
	overdue := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() }) // Wait reports it
	defer overdue.Stop()
	return errors.Join(err, s.cmd.Wait())
}

// listen starts the peer or the service of that name.
func listen(name string) (peer.Listener, error) {
	if p, ok := peer.Named(name); ok {
		return p.Listen(peer.Serve)
	}
	if s, ok := stack.Named(name); ok {
		return s.Listen()
	}
	return nil, fmt.Errorf("no peer and no service is called %q", name)
}

// serve is what such a process does: it serves until in ends.
func serve(name string, in io.Reader, out io.Writer) (err error) {
	profiles := os.Getenv(profilesVariable)
	if profiles != "" {
		profiles = filepath.Join(profiles, strings.ReplaceAll(name, " ", "-"))
	}
	stop, err := startProfiles(profiles)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	listener, err := listen(name)
	if err != nil {
		return err
	}
	err = answer(listener.Addr(), in, out)
	return errors.Join(err, listener.Close())
}

// answer answers what the parent asks.
func answer(addr string, in io.Reader, out io.Writer) error {
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	next := reply{Addr: addr}
	var watching *watch
	for {
		if err := replies.Encode(next); err != nil {
			return err
		}
		var r request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		next = reply{}
		switch {
		case r.Watch:
			watching = startWatch()
		case r.Peak:
			next.Peak = watching.stop()
		default:
			next.Stats = readStats(r.Precise)
		}
	}
}
