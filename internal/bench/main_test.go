package main

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test's program a serving process, too.
func TestMain(m *testing.M) {
	if name := os.Getenv(serveVariable); name != "" {
		exit(serve(name, os.Stdin, os.Stdout))
	}
	// The race detector has each child sleep for a second at its end.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		exit(err)
	}
	goleak.VerifyTestMain(m)
}
