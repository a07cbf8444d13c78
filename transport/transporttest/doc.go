// Package transporttest tests whether an implementation of
// [github.com/aip-go/aip/transport.Transport] keeps the contract of that
// package, and has the faulty network that this takes.
//
// An implementer writes one function that starts a server for a subtest, and
// one test:
//
//	func TestConformance(t *testing.T) {
//		transporttest.Run(t, transporttest.Harness{
//			Carrier:  transporttest.FaultyNetwork,
//			Features: transporttest.AllFeatures,
//			Start:    start,
//		})
//	}
//
// Each subtest gets a fresh server and fresh transports, is guarded by a
// timeout, and fails when goroutines are left at its end. Unless the transports
// run on real sockets, it runs in a bubble of package testing/synctest, where
// timers are exact and take no time.
package transporttest
