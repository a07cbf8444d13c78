// Command aip is AIP on the command line.
//
//	aip serve     run a server, which sends the commands of a plan for each task
//	aip device    run a device with a tool for files and one for programs
//	aip task      give a task to a device and print the result
//	aip demo      run a server, two devices and a constellation, and show what happens
//	aip validate  check messages and print them as the reference implementation writes them
//	aip version   print the version
//
// "aip help" tells more, and "aip COMMAND --help" what a command takes, prints
// and exits with. The token of a server is best given in the environment, as
// AIP_TOKEN: arguments can be read by every user of a machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// A reader that leaves, as head does, makes writing fail like any other
	// trouble, so that what was begun is cleaned up. The signal is not ignored:
	// the programs that a device runs would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, interrupt := context.WithCancel(context.Background())
	again := make(chan struct{})
	go func() {
		<-signals
		interrupt()
		<-signals
		close(again)
	}()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr, again}))
}
