//go:build !unix

package main

import (
	"fmt"
	"runtime"
	"time"
)

// processorTime returns the processor time that this process has taken.
func processorTime() (time.Duration, error) {
	return 0, fmt.Errorf("processor time is not measured on %s: leave out the measure read-256", runtime.GOOS)
}
