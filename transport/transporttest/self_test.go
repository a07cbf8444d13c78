package transporttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// fails lists, for each subtest, what is wrong with transports that must fail
// it: flaws of framed and mutants of it.
var fails = map[string][]string{
	"features":               {"has no features"},
	"not connected":          {"receives nothing when not connected", "is never connected"},
	"connect":                {"is never connected"},
	"connect twice":          {"connects again"},
	"concurrent connects":    {"connects again"},
	"refused connect":        {string(flawLeaksCredentials), string(flawStaysConnecting)},
	"invalid URL":            {"has untyped URL errors", string(flawLeaksCredentials)},
	"cancelled connect":      {string(flawHandshakeIgnoresContext), string(flawLeaksFailedDial)},
	"connect deadline":       {string(flawHandshakeIgnoresContext), string(flawLeaksFailedDial)},
	"close while connecting": {string(flawCloseIgnoresConnect)},
	"abort while connecting": {"ignores aborts"},

	"order":                 {"swaps messages", string(flawKeepsBuffer)},
	"empty message":         {"drops empty messages"},
	"text and binary":       {"has one kind"},
	"wrong kind":            {"takes binary for text"},
	"invalid UTF-8":         {string(flawNoUTF8Check)},
	"size limit on send":    {string(flawNoSendLimit)},
	"size limit on receive": {string(flawNoReceiveLimit), string(flawLimitOffByOne), string(flawLimitIsLoss)},

	"concurrent senders":   {"splits messages", string(flawMixesFragments)},
	"adjacent frames":      {"sends frames one by one"},
	"concurrent receivers": {"refuses a second receive"},

	"context of Connect":    {string(flawConnectContext)},
	"cancelled sends":       {"sends in spite of the context", "calls a waiting send sent", string(flawCancelKills), string(flawKeepsBuffer)},
	"cancelled large sends": {string(flawCancelKills), string(flawKeepsBuffer)},
	"cancelled receives":    {"loses a message"},

	"clean close":               {"calls a clean close a loss", string(flawCloseLeaks)},
	"close is idempotent":       {"closes once"},
	"close from both sides":     {"calls a clean close a loss"},
	"close unblocks":            {string(flawReceiveHangs)},
	"close with full queues":    {string(flawUnboundedClose)},
	"close delivers":            {"aborts on Close"},
	"close delivers what waits": {string(flawCloseDrops)},
	"close keeps what arrived":  {string(flawEndDropsReceived)},
	"close codes":               {string(flawCloseCode)},
	"close reason":              {"drops long reasons"},
	"invalid close code":        {"closes with any code"},

	"abort":            {"ignores aborts", string(flawLosesCause)},
	"loss":             {string(flawLossIsEOF), string(flawEndDropsReceived)},
	"connection reset": {string(flawLosesCause)},
	"loss unblocks":    {string(flawPingHangs), string(flawReceiveHangs)},

	"states in order":        {"does not show connecting"},
	"wait for a state":       {"waits for a state in vain"},
	"reset":                  {"resets anything"},
	"reconnect":              {string(flawKeepsOldMessages), string(flawLateEnd)},
	"reconnect after a loss": {string(flawKeepsOldMessages), string(flawLateEnd)},
	"old connection":         {string(flawKeepsOldMessages), string(flawLateEnd)},

	"large stream":                  {string(flawUnboundedStream), "cuts streams"},
	"stream and message":            {"cuts streams"},
	"stream of UTF-8":               {string(flawChecksPieces), string(flawNoUTF8Check)},
	"stream not read":               {string(flawKeepsRest)},
	"concurrent streams":            {string(flawMixesStreams)},
	"stream waits its turn":         {string(flawMixesStreams)},
	"cancelled receive of a stream": {string(flawForgetsPart)},
	"broken source":                 {string(flawTruncatesStream)},
	"interrupted stream":            {string(flawPartIsWhole)},
	"stream limit on send":          {string(flawNoSendLimit)},
	"stream limit on receive":       {string(flawNoReceiveLimit)},

	"ping":                    {string(flawNoPongs)},
	"read limit":              {"has a fixed read limit"},
	"backlog":                 {"has no backlog"},
	"bounded backlog":         {string(flawUnboundedSend), string(flawUnboundedReceive)},
	"close notices":           {"tells of no end", "tells of the end too early"},
	"close notices of a loss": {"tells of no end"},
	"idle connection":         {string(flawNoPongs)},

	"half-open peer":                     {string(flawNoKeepAlive), string(flawSlowDetection), string(flawPingTimeoutUntyped)},
	"half-open peer one way":             {string(flawNoKeepAlive), string(flawSlowDetection)},
	"late answers":                       {string(flawImpatientPing)},
	"stalled network":                    {string(flawUnboundedSend), string(flawCancelKills)},
	"ping deadline":                      {string(flawPingKills)},
	"slow link":                          {string(flawNoFragments), string(flawPongsLast)},
	"delayed link":                       {string(flawImpatientHandshake)},
	"close against a silent peer":        {string(flawUnboundedClose), string(flawPingHangs)},
	"cut while closing":                  {string(flawCutIgnored)},
	"close against a swallowing network": {string(flawUnboundedClose)},
	"calls while closing":                {"does not wait for a close"},
	"held dials":                         {string(flawDialIgnoresContext)},
	"late end of an old connection":      {string(flawLateEnd), string(flawAbortLeavesOpen)},

	"cut at every byte to the server": {string(flawDeliversParts), string(flawLossIsEOF)},
	"cut at every byte to the client": {string(flawDeliversParts), string(flawLossIsEOF)},
}

// TestKit: each subtest fails for transports that are wrong where it looks.
func TestKit(t *testing.T) {
	covered := make(map[string]bool)
	for _, s := range subtests() {
		name := strings.TrimSuffix(strings.TrimSuffix(s.name, "/client"), "/server")
		covered[name] = true
		if len(fails[name]) == 0 {
			t.Errorf("no transport is known that fails %q", name)
		}
		for _, wrong := range fails[name] {
			if raceDetector && flaw(wrong) == flawKeepsBuffer {
				continue // It is a race, and the detector would report it.
			}
			t.Run(s.name+": "+wrong, func(t *testing.T) {
				h := framedHarness(FaultyNetwork, flaw(wrong))
				if mutants[wrong] != nil {
					h = mutantHarness(wrong)
				}
				synctest.Test(t, func(t *testing.T) {
					r := &recorder{TB: t}
					s.try(r, h)
					if r.failures() == "" {
						t.Errorf("%q passes although the transport %s", s.name, wrong)
					}
					t.Log(r.failures())
				})
			})
		}
	}
	for name := range fails {
		if !covered[name] {
			t.Errorf("there is no subtest %q", name)
		}
	}
}

// recorder is a [testing.TB] whose test does not fail when it is told to.
type recorder struct {
	testing.TB

	mu   sync.Mutex
	text strings.Builder
}

func (r *recorder) failures() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text.WriteString(text + "\n")
}

func (r *recorder) Helper()                           {}
func (r *recorder) Fail()                             { r.fail("Fail") }
func (r *recorder) Failed() bool                      { return r.failures() != "" }
func (r *recorder) Error(args ...any)                 { r.fail(fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.fail(fmt.Sprintf(format, args...)) }
