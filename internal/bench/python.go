package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aip-go/aip/internal/bench/report"
	"github.com/aip-go/aip/internal/bench/stack"
)

// programs are the server and the client in Python, and what both need.
//
//go:embed python/*.py
var programs embed.FS

// What is in Python is measured with compression, which is the default of the
// library and what the reference has, and without it.
const (
	pythonName = "websockets + pydantic"
	plainName  = "websockets + pydantic, uncompressed"
)

// wholeGroup is about the whole stack beside one in Python.
var wholeGroup = report.Group{
	Name: "whole", Title: "The whole stack, beside Python", Baseline: pythonName,
	About: "The server in one process, the clients in another, both in Go or both in Python. Those in Python (internal/bench/python) are on the libraries of the protocol's reference, websockets and pydantic, whose models check and write each message, and do what the reference does with it, without its pauses and its logs. Messages are compressed there, as with the reference, which leaves websockets to its defaults, but for the second row; ours are not. " +
		"*aip endpoint* is an endpoint.Server, and an endpoint.Device and an endpoint.Constellation for tasks. " +
		"A task is asked for by a constellation, accepted, has the device run one command and then another one, and ends: six messages for the commands and the task's beginning, and the end for both. A device runs one command at a time; *aip endpoint*'s has the next ones of other tasks by then. Turns last twice as long.",
}

// wholeScenarios measures what is in Python only if there is p.
func wholeScenarios(p *python) []scenario {
	measure := of(wholeGroup)
	longer := func(t turn) turn {
		t.Turn *= 2
		return t
	}
	scenarioOf := func(name, title, unit, kind string, inFlight int, take func(ctx context.Context, t turn) (float64, error)) scenario {
		s := scenario{
			measures: []report.Measure{measure(name, title, unit)},
			contenders: []contender{ours("aip endpoint", stack.EndpointService, func(ctx context.Context, t turn) ([]float64, error) {
				rate, err := take(ctx, longer(t))
				return []float64{rate}, err
			})},
		}
		if p != nil {
			take := func(compressed bool) func(context.Context, turn) ([]float64, error) {
				return func(_ context.Context, t turn) ([]float64, error) {
					t = longer(t)
					rate, err := p.take(pythonTurn{kind, inFlight, t.warm().Seconds(), t.Turn.Seconds(), compressed})
					return []float64{rate}, err
				}
			}
			s.contenders = append([]contender{theirs(pythonName, "", take(true)), theirs(plainName, "", take(false))}, s.contenders...)
		}
		return s
	}
	heartbeats := func(inFlight int) func(context.Context, turn) (float64, error) {
		return func(ctx context.Context, t turn) (float64, error) {
			return stack.Heartbeats(ctx, t.server.Addr(), inFlight, t.warm(), t.Turn)
		}
	}
	tasks := func(inFlight int) func(context.Context, turn) (float64, error) {
		return func(ctx context.Context, t turn) (float64, error) {
			f, err := t.drive(ctx, inFlight, func(ctx context.Context, addr string) (stack.Call, func() error, error) {
				return stack.OpenTasks(ctx, addr, inFlight)
			})
			return f.Rate, err
		}
	}
	return []scenario{
		scenarioOf("whole-heartbeat", "Heartbeat and reply, one by one", "heartbeats/s", "heartbeat", 1, heartbeats(1)),
		scenarioOf("whole-heartbeat-64", "Heartbeat and reply, 64 in flight", "heartbeats/s", "heartbeat", 64, heartbeats(64)),
		scenarioOf("whole-task", "Task of two commands, one by one", "tasks/s", "task", 1, tasks(1)),
		scenarioOf("whole-task-16", "Task of two commands, 16 in flight", "tasks/s", "task", 16, tasks(16)),
	}
}

// python is the server and the client in Python.
type python struct {
	folder         string // of the programs
	path           string // of the interpreter
	libraries      string
	server, client *program
	versions       []report.Version
}

// program is one of them. It ends when its input does.
type program struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

// pythonTurn is what the client is asked for; the times are in seconds.
type pythonTurn struct {
	Kind     string  `json:"kind"`
	InFlight int     `json:"in_flight"`
	Warm     float64 `json:"warm"`
	Turn     float64 `json:"turn"`
	// Compressed offers compression, which the server accepts.
	Compressed bool `json:"compressed"`
}

// startPython starts both programs. libraries is the folder into which "make
// python" has installed what they need.
func startPython(libraries string) (p *python, err error) {
	p = &python{path: interpreter(), libraries: libraries}
	if p.folder, err = os.MkdirTemp("", "aip-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	files, err := programs.ReadDir("python")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := programs.ReadFile("python/" + file.Name())
		if err == nil {
			err = os.WriteFile(filepath.Join(p.folder, file.Name()), text, 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	var first struct {
		Addr     string           `json:"addr"`
		Versions []report.Version `json:"versions"`
	}
	if p.server, err = p.start("server.py"); err != nil {
		return nil, err
	}
	if err := p.server.read(&first); err != nil {
		return nil, err
	}
	p.versions = first.Versions
	p.client, err = p.start("client.py", "ws://"+first.Addr)
	return p, err
}

func (p *python) start(name string, args ...string) (*program, error) {
	s := &program{cmd: exec.Command(p.path, append([]string{filepath.Join(p.folder, name)}, args...)...)}
	s.cmd.Env = append(os.Environ(), "PYTHONPATH="+p.libraries, "PYTHONDONTWRITEBYTECODE=1")
	s.cmd.Stderr = os.Stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.lines = bufio.NewReader(stdout)
	return s, s.cmd.Start()
}

// read reads a line that the program writes.
func (s *program) read(v any) error {
	line, err := s.lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the program in Python has ended: %w", err)
	}
	return json.Unmarshal(line, v)
}

// take has the client take a turn, and returns how many there were per second.
func (p *python) take(t pythonTurn) (float64, error) {
	if err := json.NewEncoder(p.client.stdin).Encode(t); err != nil {
		return 0, err
	}
	var answer struct {
		Rate  float64 `json:"rate"`
		Error string  `json:"error"`
	}
	err := p.client.read(&answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Rate, err
}

// close ends both programs.
func (p *python) close() error {
	var err error
	for _, s := range []*program{p.client, p.server} {
		if s != nil && s.cmd.Process != nil {
			err = errors.Join(err, s.close())
		}
	}
	return errors.Join(err, os.RemoveAll(p.folder))
}

func (s *program) close() error {
	err := s.stdin.Close()
	overdue := time.AfterFunc(20*time.Second, func() { _ = s.cmd.Process.Kill() }) // Wait reports it
	defer overdue.Stop()
	return errors.Join(err, s.cmd.Wait())
}

// pythonInstalled returns why what the programs need is not there, or nil.
func pythonInstalled(libraries string) error {
	installed, err := os.ReadFile(filepath.Join(libraries, "installed"))
	if err != nil {
		return fmt.Errorf("the Python libraries are not installed; run: make python (%w)", err)
	}
	version, err := exec.Command(interpreter(), "-c", "import sys; print(sys.version)").Output()
	if err != nil {
		return fmt.Errorf("%s does not run: %w", interpreter(), err)
	}
	if !strings.HasPrefix(string(installed), string(version)) {
		return errors.New("the Python libraries are those of another Python; run: make python")
	}
	return nil
}

// interpreter is the Python that runs the programs.
func interpreter() string {
	if path := os.Getenv("PYTHON"); path != "" {
		return path
	}
	return "python3"
}
