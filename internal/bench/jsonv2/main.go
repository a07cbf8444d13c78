//go:build goexperiment.jsonv2

// Command jsonv2 takes turns with encoding/json/v2 for the command bench, as
// its input asks. It has to be built with GOEXPERIMENT=jsonv2, which changes
// encoding/json as well, and so is a program of its own.
package main

import (
	"encoding/json/v2"
	"fmt"
	"os"

	"github.com/aip-go/aip/internal/bench/jsoncase"
)

func main() {
	library := jsoncase.Library{
		Name:      "encoding/json/v2",
		Marshal:   func(m any) ([]byte, error) { return json.Marshal(m) },
		Unmarshal: func(text []byte, m any) error { return json.Unmarshal(text, m) },
	}
	if err := jsoncase.Serve(library, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jsonv2:", err)
		os.Exit(1)
	}
}
