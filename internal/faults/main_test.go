package faults

import (
	"flag"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"
)

// parallel is how many tests run at the same time: they mostly wait.
const parallel = "8"

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // A toxic logs to the global logger.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(parallel); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		// A toxic that ends a connection (reset_peer, limit_data, the removal of
		// timeout) reads no more; what comes in just then is held for it for ever,
		// by the goroutine that copies from the socket and by the first toxic of
		// the chain. Nothing that is exported ends them.
		goleak.IgnoreTopFunction("github.com/Shopify/toxiproxy/v2/stream.(*ChanWriter).Write"),
		goleak.IgnoreTopFunction("github.com/Shopify/toxiproxy/v2/toxics.(*NoopToxic).Pipe"),
	)
}
