package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
)

const taskUsage = `usage: aip task --url URL --device ID [--timeout D] [--json] REQUEST

Gives a task to a device, by way of its server, and prints the result as JSON.
What a failed task has brought is printed as well. The token of the server has
to be in the environment as AIP_TOKEN, or given as --token, where others can
read it.

An interrupt, or the end of the timeout, ends the connection, and the server
ends the task.

With --json it prints an object per line and event. The last one is
{"event":"done","ok":true,...}, with the "result" and the "exit_code".

exit codes:
    0  the task is completed
    1  the task failed, or its result could not be written
    2  wrong usage
    3  refused: the device is not there, or the server does not take the task
    4  the server cannot be reached, or was lost before the end of the task
    5  the task did not end in time
    6  not authorised: the token is wrong
  130  interrupted

`

func taskCommand(ctx context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("task", flag.ContinueOnError)
	address := flags.String("url", "", "the `address` of the server, such as ws://127.0.0.1:5000/ws")
	device := flags.String("device", "", "the `id` of the device")
	secret := tokenFlag(flags)
	timeout := flags.Duration("timeout", 10*time.Minute, "how long connecting and the task may take")
	asJSON := flags.Bool("json", false, "print JSON, an object per line")
	if code, done := parse(flags, taskUsage, args, 1, s); done {
		return code
	}
	shown, ok := checkURL(*address)
	switch {
	case !ok:
		return misused(s, "task", urlNeeded)
	case *device == "":
		return misused(s, "task", "--device is needed")
	case flags.Arg(0) == "":
		return misused(s, "task", "a request is needed")
	case *timeout <= 0:
		return misused(s, "task", "--timeout has to be positive")
	}
	events := io.Discard
	if *asJSON {
		events = s.out
	}
	r := newReport(events, true)
	limited, cancel := context.WithTimeoutCause(ctx, *timeout, endpoint.ErrTaskTimeout)
	defer cancel()
	session, result, err := runTask(limited, r, tasking{*address, shown, *device, token(*secret, *address), flags.Arg(0)})

	code := exitCode(err)
	if err != nil {
		switch {
		case ctx.Err() != nil:
			err, code = errors.New("interrupted"), exitInterrupted
		case limited.Err() != nil && code == exitLost:
			code = exitTimeout
		}
	}
	r.done(err, field{"exit_code", code}, field{"device_id", *device}, field{"session_id", session}, field{"result", result})
	broken := r.failed()
	if !*asJSON && (err == nil || !result.IsNull()) {
		broken = writeResult(s.out, result)
	}
	switch {
	case err != nil:
		complain(s, "task", err)
	case broken != nil:
		complain(s, "task", broken)
		code = exitFailed
	}
	return code
}

// tasking says which task is given to whom.
type tasking struct {
	url, shownURL, device, token, request string
}

// runTask gives the task to the device and waits for its end. Then everything
// has ended. A failed task may have a result, too.
func runTask(ctx context.Context, r *report, o tasking) (session string, result messages.Value, err error) {
	strategy, err := resilience.NewBackoff(nil) // which gives up, unlike the default of a constellation
	if err != nil {
		return "", messages.Value{}, err
	}
	observe := attemptObserver(r, o.device, o.shownURL)
	constellation, err := endpoint.NewConstellation(&endpoint.ConstellationOptions{
		// Two of these may run at once, and the server tells them by their names.
		Name: "aip-" + strings.ToLower(rand.Text()[:12]), Token: o.token, Observer: taskObserver(r), NoDeviceInfo: true,
		Reconnect: &endpoint.ReconnectOptions{Strategy: strategy, Observe: observe},
	})
	if err != nil {
		return "", messages.Value{}, err
	}
	defer func() { err = errors.Join(err, constellation.Close()) }()
	if err := constellation.Connect(ctx, o.device, o.url); err != nil {
		return "", messages.Value{}, err
	}
	// The context bounds it.
	end, err := constellation.Run(ctx, o.device, endpoint.TaskRequest{Request: o.request, Timeout: -1})
	if err != nil {
		var failed *endpoint.TaskError
		if errors.As(err, &failed) {
			session, result = failed.SessionID, failed.Result
		}
		return session, result, err
	}
	return end.SessionID, end.Result, nil
}

// taskObserver reports what happens on the way of a task.
func taskObserver(r *report) func(endpoint.Event) {
	return func(e endpoint.Event) {
		about := []field{{"device_id", e.DeviceID}}
		switch e.Kind {
		case endpoint.EventRegistered:
			r.event("task", "registered", "is connected", append(about, field{"resumed", e.Resumed})...)
		case endpoint.EventDisconnected:
			r.event("task", "disconnected", "is disconnected", append(about, field{"clean", e.Err == nil})...)
		case endpoint.EventTaskAccepted:
			r.event("task", "accepted", "is accepted", append(about, field{"session_id", e.SessionID})...)
		case endpoint.EventRefused:
			r.event("task", "refused", fmt.Sprintf("a message was refused: %v", e.Err), append(about, field{"error", fmt.Sprint(e.Err)})...)
		}
	}
}

// writeResult prints a result to read.
func writeResult(out io.Writer, result messages.Value) error {
	var b bytes.Buffer
	if err := json.Indent(&b, result.AppendTo(nil), "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, printable(b.String(), "\n"))
	return err
}
