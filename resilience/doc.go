// Package resilience makes a program continue when the network does not.
//
// Reconnection is in four parts, which can be used apart:
//
//   - A [Strategy] says how long to wait before the next attempt, and when to
//     give up. [Backoff] is the one of this package: the reference's policies,
//     with jitter, and with respect for what a failure says.
//   - [Attempts] makes the attempts of one link with a strategy; [Retry] does
//     for a link that is made once.
//   - A [Budget] bounds the attempts of many links together.
//   - A [Reconnector] is the reference's handling of lost devices: cancel the
//     tasks, notify, reconnect, call back.
//
// A [Link] is a transport that replaces its connection when that is lost. With a
// server that has a [Resumer], its session outlives the connection: every
// message arrives once and in order. What a session keeps is in a [Store].
//
// [Heartbeats] sends heartbeats to any number of peers and tells which of them
// are silent for too long, by a fixed deadline or by a [Detector] such as
// [PhiAccrual]. [Timeouts] bounds operations by what is usual for them. An
// [Environment] has settings for all of these.
package resilience
