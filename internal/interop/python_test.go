package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const install = "the Python libraries of the tests are not installed, or not those of requirements.txt; run: make python"

// interpreter returns the Python interpreter, and the folder with the
// libraries, when they are those that testdata/requirements.txt asks for.
var interpreter = sync.OnceValues(func() (python, error) {
	p := python{path: os.Getenv("PYTHON")}
	if p.path == "" {
		p.path = "python3"
	}
	var err error
	if p.libraries, err = filepath.Abs(".python"); err != nil {
		return p, err
	}
	installed, err := os.ReadFile(filepath.Join(p.libraries, "installed"))
	if err != nil {
		return p, fmt.Errorf("%s (%w)", install, err)
	}
	version, err := exec.Command(p.path, "-c", "import sys; print(sys.version)").Output()
	if err != nil {
		return p, fmt.Errorf("%s does not run; Python 3.9 to 3.13 is needed: %w", p.path, err)
	}
	required, err := os.ReadFile(filepath.Join("testdata", "requirements.txt"))
	if err != nil {
		return p, err
	}
	if !bytes.Equal(installed, append(version, required...)) {
		return p, fmt.Errorf("%s", install)
	}
	return p, nil
})

type python struct{ path, libraries string }

// object is a JSON object.
type object = map[string]any

// happening is what a program reports, a line of its output.
type happening struct {
	Event      string
	Text       string
	Message    object `json:"-"` // of Text
	line       []byte
	Size       int
	SHA256     string
	Binary     bool
	Device     string
	Client     string
	Code       int
	Status     int
	Reason     string
	State      string
	Outcome    string
	SessionID  string `json:"session_id"`
	Seconds    float64
	Extensions []string
	Offered    string
	Subprotos  []string `json:"subprotocols"`
	Port       int
	OK         bool
	Fields     []string
	Result     json.RawMessage
	ResultSize int `json:"result_size"`
}

// program is a Python program that runs.
type program struct {
	*journal[*happening]
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	ended  chan struct{} // closed when it has ended and was waited for
	result error         // of Wait
	// killed: it was not to end by itself. odd: invalid messages are expected.
	killed, odd bool
}

// start starts a program of testdata. It ends with the test, which fails if the
// program has crashed or has received what is no message of AIP.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	python, err := interpreter()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{journal: newJournal[*happening](), t: t, name: name, ended: make(chan struct{})}
	p.cmd = exec.Command(python.path, append([]string{filepath.Join("testdata", name+".py")}, args...)...)
	p.cmd.Env = append(os.Environ(), "PYTHONPATH="+python.libraries, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1")
	var stderr bytes.Buffer
	p.cmd.Stderr = &stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout)
	t.Cleanup(func() {
		p.stop()
		if p.result != nil && !p.killed || strings.Contains(stderr.String(), "Traceback") && !p.odd {
			t.Errorf("%s ended with %v", name, p.result)
		}
		for _, h := range p.all() {
			if !p.odd && (h.Event == "invalid" || h.Event == "unknown" || h.Event == "received" && h.Binary) {
				t.Errorf("%s received what is no message of AIP: %+v", name, *h)
			}
		}
		if t.Failed() {
			t.Logf("%s %v:\n%s%s", name, args, p.transcript(), stderr.String())
		}
	})
	return p
}

// read reads what the program reports, until it ends.
func (p *program) read(stdout io.Reader) {
	defer close(p.ended)
	defer p.end()
	reader := bufio.NewReader(stdout)
	for {
		line, err := reader.ReadBytes('\n')
		if err != nil {
			p.result = p.cmd.Wait()
			return
		}
		h := &happening{line: line}
		if err := json.Unmarshal(line, h); err != nil {
			h.Event, h.Text = "unreadable", string(line)
		} else if h.Text != "" {
			_ = json.Unmarshal([]byte(h.Text), &h.Message) // or it is none
		}
		p.add(h)
	}
}

// stop ends the program in good order, or kills it when it takes too long.
func (p *program) stop() {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		p.t.Errorf("%s does not end", p.name)
		p.kill()
	}
}

// kill kills the program, so that it says no goodbye, and waits for its end.
func (p *program) kill() {
	p.killed = true
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// signal sends a signal.
func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// do tells the program to do something.
func (p *program) do(what string, fields object) {
	p.t.Helper()
	order := object{"do": what}
	for name, value := range fields {
		order[name] = value
	}
	line, err := json.Marshal(order)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// happens waits for an event.
func (p *program) happens(event string) *happening {
	p.t.Helper()
	return p.await(p.t, event+" of "+p.name, is(event))
}

// receives waits for a message of a type that the program receives, and returns
// it.
func (p *program) receives(messageType string, also ...func(object) bool) object {
	p.t.Helper()
	return p.await(p.t, messageType+" for "+p.name, message("received", messageType, also...)).Message
}

// sends waits for a message of a type that the program sends, and returns it.
func (p *program) sends(messageType string, also ...func(object) bool) object {
	p.t.Helper()
	return p.await(p.t, messageType+" of "+p.name, message("sent", messageType, also...)).Message
}

// received counts the messages of a type that the program has received.
func (p *program) received(messageType string, also ...func(object) bool) int {
	return p.count(message("received", messageType, also...))
}

func is(event string) func(*happening) bool {
	return func(h *happening) bool { return h.Event == event }
}

func message(event, messageType string, also ...func(object) bool) func(*happening) bool {
	return func(h *happening) bool {
		if h.Event != event || h.Message["type"] != messageType {
			return false
		}
		for _, holds := range also {
			if !holds(h.Message) {
				return false
			}
		}
		return true
	}
}

// with is a condition on a message: a field has a value; nil is an absent one,
// too.
func with(field string, value any) func(object) bool {
	return func(m object) bool { return m[field] == value }
}

// transcript shows what the program has reported.
func (p *program) transcript() string {
	var b strings.Builder
	for _, h := range p.all() {
		line := h.line
		if len(line) > 600 {
			line = append(line[:600:600], "…\n"...)
		}
		b.Write(line)
	}
	return b.String()
}
