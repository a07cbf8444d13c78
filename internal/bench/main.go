// Command bench measures the SDK beside its peers: the transport beside other
// ways to send messages, in two processes over the loopback, and the codec
// beside other ways to read and write JSON. It prints medians, and ratios to a
// baseline from the same rounds:
//
//	go run ./internal/bench -quick
//	go run ./internal/bench -measures echo -peers 'aip|nhooyr'
//
// With -results it writes every figure to a file, and with -page the page and
// its plots, which with -from are made of an earlier file. "make bench" does
// all of it.
//
// It is a module of its own, so that the libraries it compares with stay out
// of the root module.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
)

func main() {
	if name := os.Getenv(serveVariable); name != "" {
		exit(serve(name, os.Stdin, os.Stdout))
	}
	var c command
	quick := flag.Bool("quick", false, "measure just enough to show that everything works")
	flag.IntVar(&c.plan.Rounds, "rounds", 0, "turns per peer and measure (default 9)")
	flag.DurationVar(&c.plan.Turn, "turn", 0, "how long a turn lasts (default 150ms)")
	flag.Func("peers", "measure the peers whose names match this regular `expression`", pattern(&c.selected.Peers))
	flag.Func("measures", "take the measures whose names match this regular `expression`", pattern(&c.selected.Measures))
	flag.StringVar(&c.results, "results", "", "write all figures to this JSON `file`")
	flag.StringVar(&c.from, "from", "", "measure nothing, take the figures of this `file`")
	flag.StringVar(&c.page, "page", "", "write the page to this Markdown `file`, and the plots to the folder of its name beside it")
	flag.StringVar(&c.notes, "notes", "", "end the page with the Markdown of this `file`")
	flag.StringVar(&c.jsonv2, "jsonv2", "", "measure encoding/json/v2 with this `program`, which is ./jsonv2 built with GOEXPERIMENT=jsonv2")
	flag.StringVar(&c.libraries, "libraries", filepath.Join("internal", "interop", ".python"), "the `folder` of the Python libraries, which \"make python\" installs")
	flag.StringVar(&c.profiles, "profiles", "", "write profiles of the clients' process to this `folder`, and those of each serving process to a folder in it")
	flag.Parse()
	if flag.NArg() != 0 || c.plan.Rounds < 0 || c.plan.Turn < 0 {
		flag.Usage()
		os.Exit(2)
	}
	c.complete(*quick)
	runtime.GOMAXPROCS(maxProcs)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(c.run(ctx, os.Stdout))
}

// pattern returns a flag's function that compiles a regular expression.
func pattern(into **regexp.Regexp) func(string) error {
	return func(s string) (err error) {
		*into, err = regexp.Compile(s)
		return err
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
