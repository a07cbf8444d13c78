package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/aip-go/aip/endpoint"
)

const serveUsage = `usage: aip serve [--addr HOST:PORT] [--plan FILE] [--drain D] [--json]

Runs a server for devices, and for those who give them tasks, and prints what
happens. They connect to ws://HOST:PORT/ws and show the token, which has to be
in the environment as AIP_TOKEN, or given as --token, where others can read it.
There is no TLS: beyond the loopback, put a proxy in front that has it.

The HTTP API is below http://HOST:PORT/api/ (clients, health, dispatch,
task_result) and asks for the token as X-API-Key.

For each task it sends the device the commands of a plan, one after the other,
up to the first that fails. The results are the result of the task. The plan is
a YAML file; this is the default:

` + defaultPlan + `
A command has a tool, a type (action, the default, or data_collection) and
parameters, a mapping. In the strings of the parameters {{request}} stands for
the request of the task, as it is, and nothing else is replaced. Do not put it
into a text that a device hands to a shell, as the reference's execute_command
does with its "command". A plan has 1 to 64 commands and at most 64 KiB, and no
other fields, anchors, aliases or tags. A request has at most 64 KiB.

An interrupt ends it in order: tasks come to their end, clients are told when to
come back. A second one, or the end of --drain, cuts off what is left.

With --json it prints an object per line and event. The last one is
{"event":"done","ok":true,...}.

exit codes: 0 ended in order; 1 it could not serve, read its plan or write, or
tasks were cut off after --drain; 2 wrong usage; 130 interrupted a second time

`

func serveCommand(ctx context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:5000", "the `address` to listen on; port 0 is any free one")
	secret := tokenFlag(flags)
	file := flags.String("plan", "", "the `file` of the plan")
	drain := flags.Duration("drain", 30*time.Second, "how long tasks may take to end after an interrupt")
	json := flags.Bool("json", false, "print JSON, an object per line")
	if code, done := parse(flags, serveUsage, args, 0, s); done {
		return code
	}
	if token(*secret, "") == "" {
		return misused(s, "serve", "a token is needed: set "+tokenVariable)
	}
	if *drain <= 0 {
		return misused(s, "serve", "--drain has to be positive")
	}
	p, err := readPlan(*file)
	if err != nil {
		complain(s, "serve", err)
		return exitFailed
	}
	r := newReport(s.out, *json)
	err = serve(ctx, r, serving{*addr, token(*secret, ""), p, *drain, s.again})
	r.done(err)
	if err == nil {
		err = r.failed()
	}
	if err == nil {
		return exitOK
	}
	complain(s, "serve", err)
	if errors.Is(err, errAgain) {
		return exitInterrupted
	}
	return exitFailed
}

// serving says how to serve.
type serving struct {
	addr, token string
	plan        *plan
	drain       time.Duration
	again       <-chan struct{}
}

// serve serves until ctx ends, or something fails. Then everything has ended.
func serve(ctx context.Context, r *report, o serving) error {
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	server, err := endpoint.NewServer(&endpoint.ServerOptions{
		Handler: o.plan.handler(r), Token: o.token, Observer: serverObserver(r),
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	mux.Handle("/api/", server.API())
	web := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	address := fmt.Sprintf("ws://%s/ws", listener.Addr())
	r.event("server", "listening", "listens on "+address, field{"url", address})

	select {
	case <-ctx.Done():
		err = shutDown(r, server, o)
	case err = <-served:
		served <- err
		err = errors.Join(err, server.Close())
	case <-r.broken:
		err = errors.Join(r.failed(), server.Close())
	}
	// What is left are requests that were no WebSockets.
	err = errors.Join(err, web.Close())
	<-served
	return err
}

var (
	errAgain = errors.New("interrupted again; what was left was cut off")
	errDrain = errors.New("the time to end was over; what was left was cut off")
)

// shutDown ends the server in order, as far as there is time for that.
func shutDown(r *report, server *endpoint.Server, o serving) error {
	r.event("server", "draining", fmt.Sprintf("takes on nothing new, and ends within %v; interrupt again to end at once", o.drain))
	limited, cancel := context.WithTimeoutCause(context.Background(), o.drain, errDrain)
	defer cancel()
	ending, cut := context.WithCancelCause(limited)
	defer cut(nil)
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(ending) }()
	var err error
	select {
	case err = <-ended:
	case <-o.again:
		cut(errAgain)
		err = <-ended
	case <-r.broken:
		cut(r.failed())
		err = <-ended
	}
	if err != nil {
		return context.Cause(ending)
	}
	r.event("server", "closed", "is closed")
	return nil
}
