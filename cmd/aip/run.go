package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// streams are what a run has of its process: the standard streams, and the
// second interrupt. The first one ends the context of the run.
type streams struct {
	in       io.Reader
	out, err io.Writer
	// again is closed by the second interrupt; nil if there will be none.
	again <-chan struct{}
}

// command is one word after "aip".
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, s streams) int
}

var commands = []command{
	{"serve", "run a server, which sends the commands of a plan for each task", serveCommand},
	{"device", "run a device with a tool for files and one for programs", deviceCommand},
	{"task", "give a task to a device and print the result", taskCommand},
	{"demo", "run a server, two devices and a constellation, and show what happens", demoCommand},
	{"validate", "check messages and print them as the reference implementation writes them", validateCommand},
	{"version", "print the version", versionCommand},
}

const helpHead = `aip is AIP, the Agent Interaction Protocol, on the command line: a server, a
device, a task, a demonstration, and a check of messages.

usage: aip COMMAND [flags]

`

const helpTail = `
"aip COMMAND --help" tells more about a command.

To try it, in three terminals with the same AIP_TOKEN in their environment:

  aip serve
  aip device --url ws://127.0.0.1:5000/ws --id desk --allow echo
  aip task --url ws://127.0.0.1:5000/ws --device desk "hello"

exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted; of commands
that connect also 3 refused, 4 unreachable or lost, 5 timeout, 6 not authorised
`

// run runs a command line and returns its exit code.
func run(ctx context.Context, args []string, s streams) int {
	if len(args) == 0 {
		help(s.err)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		help(s.out)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], s)
		}
	}
	fmt.Fprintf(s.err, "aip: there is no command %q; run \"aip help\"\n", args[0])
	return exitUsage
}

func help(w io.Writer) {
	var b strings.Builder
	b.WriteString(helpHead)
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-10s %s\n", c.name, c.summary)
	}
	b.WriteString(helpTail)
	fmt.Fprint(w, b.String())
}

// parse reads the flags of a command, of which at most that many arguments are left.
// If there is nothing more to do, done is set and code is the exit code.
func parse(flags *flag.FlagSet, usage string, args []string, most int, s streams) (code int, done bool) {
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	text := func() string {
		var b strings.Builder
		b.WriteString(usage)
		flags.SetOutput(&b)
		flags.PrintDefaults()
		return b.String()
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(s.out, text())
		return exitOK, true
	case err == nil && flags.NArg() > most:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(most))
	}
	if err != nil {
		fmt.Fprintf(s.err, "aip %s: %v\n\n%s", flags.Name(), err, text())
		return exitUsage, true
	}
	return exitOK, false
}

func versionCommand(_ context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("version", flag.ContinueOnError)
	if code, done := parse(flags, "usage: aip version\n", args, 0, s); done {
		return code
	}
	fmt.Fprintf(s.out, "aip %s\n", version())
	return exitOK
}

// version returns what the build says.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown version)"
	}
	return info.Main.Version
}
