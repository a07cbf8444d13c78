package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// errNotAllowed is a program that was not named by --allow.
var errNotAllowed = errors.New("not allowed on this device")

const (
	// maxOutput is how much a program may write to one of its outputs, in
	// bytes.
	maxOutput = 256 << 10
	// outputDelay is how long the outputs may stay open after the program's
	// end, held by what it has started.
	outputDelay = time.Second
	// shellSigns are what a shell would not take as text.
	shellSigns = "|&;<>()$`\\\"'*?[]{}#~\t\r\n"
)

type execParameters struct {
	Argv    []string `json:"argv,omitempty" jsonschema:"the program and its arguments; instead of command"`
	Command string   `json:"command,omitempty" jsonschema:"the program and its arguments, separated by spaces, without anything that only a shell understands; instead of argv" maxLength:"65536"`
}

type execResult struct {
	Success   bool   `json:"success" jsonschema:"the exit status is 0"`
	ExitCode  int    `json:"exit_code" jsonschema:"the exit status; -1: the program was ended"`
	Stdout    string `json:"stdout"`
	Stderr    string `json:"stderr"`
	Truncated bool   `json:"truncated" jsonschema:"the program wrote too much and was ended"`
}

// executor runs the programs that are allowed.
type executor struct {
	programs map[string]string // the path of each
	dir      string
	device   string
	report   *report
}

// findPrograms returns the paths of the programs, by the names that they are
// allowed under.
func findPrograms(names []string) (map[string]string, error) {
	programs := map[string]string{}
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return nil, fmt.Errorf("--allow %q: there is no such program, or it cannot be run", name)
		}
		programs[name] = path
	}
	return programs, nil
}

func (x *executor) tool() endpoint.Tool {
	names := make([]string, 0, len(x.programs))
	for name := range x.programs {
		names = append(names, name)
	}
	slices.Sort(names)
	return must(endpoint.NewTool("execute_command", x.execute, &endpoint.ToolOptions{
		Type: messages.ToolAction, Title: "Run a program",
		Description: "Runs one of these programs, without a shell: " + strings.Join(names, ", ") + ".",
	}))
}

// argv returns the program and its arguments.
func (p *execParameters) argv() ([]string, error) {
	argv := p.Argv
	switch {
	case (len(p.Argv) > 0) == (p.Command != ""):
		return nil, errors.New("either argv or command is needed")
	case p.Command != "":
		if i := strings.IndexAny(p.Command, shellSigns); i >= 0 {
			return nil, fmt.Errorf("there is no shell for the %q in command; use argv", p.Command[i])
		}
		argv = strings.FieldsFunc(p.Command, func(r rune) bool { return r == ' ' })
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("there is no program to run")
	}
	return argv, nil
}

var errTooMuch = errors.New("the program wrote too much")

func (x *executor) execute(ctx context.Context, p execParameters) (execResult, error) {
	argv, err := p.argv()
	if err != nil {
		return execResult{}, err
	}
	path, ok := x.programs[argv[0]]
	if !ok {
		x.report.event(x.device, "not_allowed", fmt.Sprintf("does not run %q, which is not allowed", shorten(argv[0])), field{"program", shorten(argv[0])})
		return execResult{}, fmt.Errorf("the program %q is %w", shorten(argv[0]), errNotAllowed)
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	stdout, stderr := &output{full: stop}, &output{full: stop}
	command := exec.CommandContext(running, path)
	command.Args, command.Dir, command.Env = argv, x.dir, environment()
	command.Stdout, command.Stderr, command.WaitDelay = stdout, stderr, outputDelay
	group(command)

	x.report.event(x.device, "program", fmt.Sprintf("runs %s", argv[0]), field{"program", argv[0]})
	start := time.Now()
	err = command.Run()
	endGroup(command)
	result, err := x.result(ctx, command, err)
	if err == nil && errors.Is(context.Cause(running), errTooMuch) {
		// It may have come to its own end before it was killed.
		result = execResult{ExitCode: -1, Truncated: true}
	}
	result.Stdout, result.Stderr = stdout.String(), stderr.String()
	x.ended(argv[0], time.Since(start), result, err)
	return result, err
}

// result says how a program has ended with err.
func (x *executor) result(ctx context.Context, command *exec.Cmd, err error) (execResult, error) {
	switch state := command.ProcessState; {
	case ctx.Err() != nil:
		return execResult{}, context.Cause(ctx)
	case state != nil:
		return execResult{Success: state.Success(), ExitCode: state.ExitCode()}, nil
	default:
		var cause *os.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return execResult{}, fmt.Errorf("the program cannot be started: %w", err)
	}
}

func (x *executor) ended(program string, took time.Duration, result execResult, err error) {
	about := []field{{"program", program}, {"seconds", took.Seconds()}}
	text := fmt.Sprintf("%s has ended with %d", program, result.ExitCode)
	switch {
	case err != nil:
		text = fmt.Sprintf("%s was ended: %v", program, err)
		about = append(about, field{"error", err.Error()})
	case result.Truncated:
		text = fmt.Sprintf("%s was ended: %v", program, errTooMuch)
		fallthrough
	default:
		about = append(about, field{"exit_code", result.ExitCode}, field{"truncated", result.Truncated})
	}
	x.report.event(x.device, "program_ended", text, about...)
}

// environment returns what a program sees of this one's environment: nothing
// that could be a secret.
func environment() []string {
	env := []string{}
	for _, key := range []string{"PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "SystemRoot", "TEMP"} {
		if value, ok := os.LookupEnv(key); ok {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// output keeps what a program writes, up to a bound. It belongs to one
// goroutine until the program has ended.
type output struct {
	full func(error)
	data []byte
}

// Write drops that for which there is no room, and has the program ended then.
func (o *output) Write(p []byte) (int, error) {
	n := min(len(p), maxOutput-len(o.data))
	o.data = append(o.data, p[:n]...)
	if n < len(p) {
		o.full(errTooMuch)
	}
	return len(p), nil
}

// String returns the text, with U+FFFD for what is none.
func (o *output) String() string { return strings.ToValidUTF8(string(o.data), "\uFFFD") }
