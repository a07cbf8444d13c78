// Package faults has tests only: tasks over lines that are slow, break, go
// silent or end in mid-message, and what everyone is told of them. The lines are
// those of [toxiproxy], in the process, between real endpoints on the loopback:
// one between the device and the server, one between the constellation and the
// server.
//
// It is a module of its own, so that toxiproxy stays out of the root module.
//
// [toxiproxy]: https://github.com/Shopify/toxiproxy
package faults
