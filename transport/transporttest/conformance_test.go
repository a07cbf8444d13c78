package transporttest

import "testing"

// TestFramed: a correct transport over the kit's network passes everything.
func TestFramed(t *testing.T) { Run(t, framedHarness(FaultyNetwork, correct)) }

// TestFramedTLS: the same with TLS.
func TestFramedTLS(t *testing.T) {
	Run(t, Harness{Carrier: FaultyNetwork, Features: AllFeatures, Start: func(t testing.TB, env Env) Endpoint {
		client, server := secured(t)
		return startFramed(t, env, correct, client, server)
	}})
}

// TestFramedSockets: the same over sockets.
func TestFramedSockets(t *testing.T) { Run(t, framedHarness(Sockets, correct)) }
