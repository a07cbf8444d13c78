package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"
)

const demoUsage = `usage: aip demo [--json]

Starts a server, two devices and a constellation, which talk over WebSockets on
the loopback, and shows: registration, heartbeats, device information, tasks on
both devices at once, a file transfer, a connection that is cut in the middle of
a task and taken up again, a refused task, and the end of it all in good order.
It takes a few seconds and leaves nothing behind.

With --json it prints an object per line and event. The last one is
{"event":"done","ok":true,...}.

exit codes: 0 everything went as it should; 1 something did not; 130 interrupted

`

// demoTimeout bounds the whole demonstration.
const demoTimeout = 30 * time.Second

func demoCommand(ctx context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	json := flags.Bool("json", false, "print JSON, an object per line")
	if code, done := parse(flags, demoUsage, args, 0, s); done {
		return code
	}
	r := newReport(s.out, *json)
	limited, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	err := runDemo(limited, r)
	if err == nil {
		err = r.failed() // The last line may be what could not be written.
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(s.err, "aip demo: interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintf(s.err, "aip demo: %v\n", err)
		return exitFailed
	}
	return exitOK
}

// runDemo runs the demonstration step by step. Whatever happens, everything is
// closed when it returns.
func runDemo(ctx context.Context, r *report) (err error) {
	d := newDemo(r)
	defer func() {
		err = errors.Join(err, d.cleanUp())
		r.done(err, d.totals()...)
	}()
	for _, step := range []struct {
		title string
		run   func(context.Context) error
	}{
		{"Registration: a server, two devices, a constellation", d.register},
		{"Heartbeats and device information", d.lookAround},
		{"Tasks on both devices at once", d.runTasks},
		{"A file transfer", d.transferFile},
		{"A connection is lost in the middle of a task, and the task goes on", d.pullCable},
		{"A device is lost in the middle of a task", d.cutConnection},
		{"A task for a device that is gone is refused", d.refuseTask},
		{"The connection is taken up again", d.reconnect},
		{"The end, in good order", d.shutDown},
	} {
		r.step(step.title)
		if err := r.failed(); err != nil {
			return err
		}
		if err := step.run(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("step %q: %w", step.title, err)
		}
	}
	return nil
}
