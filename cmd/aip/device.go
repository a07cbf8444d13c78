package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/resilience"
)

const deviceUsage = `usage: aip device --url URL --id ID [--root DIR] [--allow CMD]...
                  [--command-timeout D] [--json]

Connects to a server as a device, tells it about this machine (its system,
processors, memory, name and address), runs the commands it sends, and prints
what happens. The token of the server has to be in the environment as AIP_TOKEN,
or given as --token, where others can read it. A connection that is lost, or
cannot be made, is tried again without end: also while another device has this
id, but not if the token is wrong.

Without --root and --allow it can do nothing. The tools:

  read_file (data_collection)   with --root: reads a regular file below DIR
    path      relative to DIR; nothing leads out of DIR, links neither
    The result has the path, the size, the encoding (utf-8 or base64) and the
    content. At most 1 MiB is read; a larger file is a failure.

  execute_command (action)      with --allow: runs an allowed program
    argv      the program and its arguments, or
    command   both in one text, separated by spaces. There is no shell: quotes,
              variables, pipes and all the rest of its signs are refused.
    The program is one of CMD, as it is written there: a name, which is looked
    up in PATH once, at the start, or a path. It runs as you, in DIR, with no
    input and an environment of little more than PATH and HOME. Whoever holds
    the token chooses its arguments: allow no program that can be told to run
    others or to write what it should not. The result has success (the exit
    status is 0), exit_code (-1: it was ended), stdout and stderr. A program
    that writes more than 256 KiB to one of them is ended, and the result says
    truncated. With the end of its time, of the task or of the device it is
    killed, and what it has started in its process group with it.

An interrupt ends it in order.

With --json it prints an object per line and event. The last one is
{"event":"done","ok":true,...}.

exit codes: 0 ended in order; 1 it could not write, or read DIR; 2 wrong usage;
3 the server refused the registration for good; 4 unreachable or lost, and it is
no use to try again; 6 not authorised: the token is wrong

`

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func deviceCommand(ctx context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("device", flag.ContinueOnError)
	address := flags.String("url", "", "the `address` of the server, such as ws://127.0.0.1:5000/ws")
	id := flags.String("id", "", "the `id` of the device")
	secret := tokenFlag(flags)
	dir := flags.String("root", "", "the `directory` below which files may be read, and in which programs run")
	var allowed list
	flags.Var(&allowed, "allow", "a `program` that may be run; may be given more than once")
	limit := flags.Duration("command-timeout", time.Minute, "how long a command may take")
	json := flags.Bool("json", false, "print JSON, an object per line")
	if code, done := parse(flags, deviceUsage, args, 0, s); done {
		return code
	}
	shown, ok := checkURL(*address)
	switch {
	case !ok:
		return misused(s, "device", urlNeeded)
	case *id == "":
		return misused(s, "device", "--id is needed")
	case *limit <= 0:
		return misused(s, "device", "--command-timeout has to be positive")
	}
	programs, err := findPrograms(allowed)
	if err != nil {
		return misused(s, "device", err.Error())
	}
	r := newReport(s.out, *json)
	options := &endpoint.DeviceOptions{
		ID: *id, URL: *address, Token: token(*secret, *address), CommandTimeout: *limit, Observer: deviceObserver(r),
		Reconnect: &endpoint.ReconnectOptions{Observe: attemptObserver(r, *id, shown)},
	}
	if *dir != "" {
		root, err := os.OpenRoot(*dir)
		if err != nil {
			complain(s, "device", err)
			return exitFailed
		}
		defer func() { _ = root.Close() }() // it was only read
		options.Tools = append(options.Tools, fileTool(root))
	}
	if len(programs) > 0 {
		x := &executor{programs: programs, dir: *dir, device: *id, report: r}
		options.Tools = append(options.Tools, x.tool())
	}
	err = runDevice(ctx, r, options)
	r.done(err)
	switch broken := r.failed(); {
	case broken != nil:
		complain(s, "device", broken)
		return exitFailed
	case err != nil:
		complain(s, "device", err)
		return exitCode(err)
	}
	return exitOK
}

// runDevice runs a device until ctx ends, which is no error, or something is
// wrong.
func runDevice(ctx context.Context, r *report, options *endpoint.DeviceOptions) error {
	device, err := endpoint.NewDevice(options)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- device.Run(running) }()
	select {
	case err = <-ended:
	case <-r.broken:
		stop()
		err = <-ended
	}
	if ctx.Err() == nil {
		return err
	}
	r.event(options.ID, "closed", "is closed")
	return nil
}

// deviceObserver reports what happens to a device.
func deviceObserver(r *report) func(endpoint.Event) {
	return func(e endpoint.Event) {
		task := []field{{"task", e.TaskName}, {"session_id", e.SessionID}, {"count", e.Count}}
		switch e.Kind {
		case endpoint.EventRegistered:
			how := "is registered"
			if e.Resumed {
				how = "is back; its session goes on"
			}
			r.event(e.ClientID, "registered", how, field{"resumed", e.Resumed})
		case endpoint.EventDisconnected:
			if e.Err == nil {
				r.event(e.ClientID, "disconnected", "is disconnected", field{"clean", true})
				return
			}
			r.event(e.ClientID, "disconnected", fmt.Sprintf("has lost its connection: %v", e.Err), field{"clean", false}, field{"error", e.Err.Error()})
		case endpoint.EventCommand:
			r.event(e.ClientID, "command", fmt.Sprintf("runs %d %s of task %s", e.Count, plural(e.Count, "command"), e.TaskName), task...)
		case endpoint.EventResults:
			r.event(e.ClientID, "results", fmt.Sprintf("has sent %d %s of task %s", e.Count, plural(e.Count, "result"), e.TaskName), task...)
		case endpoint.EventTaskEnded:
			r.event(e.ClientID, "task_ended", fmt.Sprintf("is told of the end of a task: %s", e.Status), append(task, field{"status", e.Status})...)
		case endpoint.EventRefused:
			r.event(e.ClientID, "refused", fmt.Sprintf("refuses a message, or is refused: %v", e.Err), field{"error", fmt.Sprint(e.Err)})
		}
	}
}

// attemptObserver reports the attempts to connect to the server at url.
func attemptObserver(r *report, actor, url string) func(resilience.AttemptEvent) {
	return func(e resilience.AttemptEvent) {
		switch e.Kind {
		case resilience.AttemptStarted:
			r.event(actor, "connecting", fmt.Sprintf("connects to %s, attempt %d", url, e.Attempt), field{"url", url}, field{"attempt", e.Attempt})
		case resilience.AttemptFailed:
			if !errors.Is(e.Err, context.Canceled) {
				r.event(actor, "attempt_failed", fmt.Sprintf("cannot connect: %v", e.Err), field{"attempt", e.Attempt}, field{"error", fmt.Sprint(e.Err)})
			}
		case resilience.AttemptWaiting:
			if e.Delay > 0 {
				r.event(actor, "waiting", fmt.Sprintf("tries again in %v", e.Delay.Round(time.Millisecond)), field{"attempt", e.Attempt}, field{"delay", e.Delay.Seconds()})
			}
		}
	}
}
