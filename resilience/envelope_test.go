package resilience

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/aip-go/aip/internal/jsonscan"
)

// Protects: the numbers of frames, however they are written.
func TestReadEnvelope(t *testing.T) {
	for text, want := range map[string]envelope{
		`{"type":"task","seq":5,"ack":3}`:                         {seq: 5, ack: 3, hasSeq: true, hasAck: true, body: len(`{"type":"task"`)},
		`{"seq":5,"ack":3}`:                                       {seq: 5, ack: 3, hasSeq: true, hasAck: true, body: 1},
		`{"type":"heartbeat","ack":0}`:                            {hasAck: true, body: len(`{"type":"heartbeat"`)},
		`{"ack":7}`:                                               {ack: 7, hasAck: true, body: 1},
		`{"seq":5,"type":"task","ack":3}`:                         {seq: 5, ack: 3, hasSeq: true, hasAck: true},
		`{"ack":3,"seq":5,"type":"task"}`:                         {seq: 5, ack: 3, hasSeq: true, hasAck: true},
		"{\"type\":\"task\", \"seq\": 5 ,\n\"ack\": 3 } ":         {seq: 5, ack: 3, hasSeq: true, hasAck: true},
		`{"type":"task","seq":5}`:                                 {seq: 5, hasSeq: true},
		`{"seq":1,"type":"task","seq":5,"ack":3}`:                 {seq: 5, ack: 3, hasSeq: true, hasAck: true, body: len(`{"seq":1,"type":"task"`)},
		`{"type":"task","result":{"seq":5,"ack":3}}`:              {},
		`{"type":"task","request":"\"seq\":5,\"ack\":3"}`:         {},
		`{"b\"seq":5,"ack":3}`:                                    {ack: 3, hasAck: true},
		`{"xack":3}`:                                              {},
		`{"a":"b","x\"ack":3}`:                                    {},
		`{"seq":0,"ack":3}`:                                       {ack: 3, hasAck: true},
		`{"seq":-1,"ack":3}`:                                      {ack: 3, hasAck: true},
		`{"seq":1.5,"ack":3}`:                                     {ack: 3, hasAck: true},
		`{"seq":"5","ack":"3"}`:                                   {},
		`{"seq":05,"ack":3}`:                                      {},
		`{"seq":5,"ack":03}`:                                      {},
		`{"seq":18446744073709551616,"ack":18446744073709551615}`: {ack: math.MaxUint64, hasAck: true},
		`[{"seq":5,"ack":3}]`:                                     {},
		`"seq":5,"ack":3}`:                                        {},
		`{"type":"task"`:                                          {},
		``:                                                        {},
		`}`:                                                       {},
	} {
		if got := readEnvelope([]byte(text)); got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// Protects: what frames are to a session.
func TestRoleOf(t *testing.T) {
	for text, want := range map[string]frameRole{
		`{"type":"task","status":"ok"}`:                            roleMessage,
		`{"type":"heartbeat","status":"ok","timestamp":"now"}`:     roleHeartbeat,
		`{"type":"heartbeat","status":"ok","timestamp":null}`:      roleBareHeartbeat,
		`{"type":"heartbeat","status":"ok","ack":4}`:               roleBareHeartbeat,
		`{"type":"heartbeat","session_id":"s","timestamp":"now"}`:  roleMessage,
		`{"session_id":null,"type":"heartbeat","timestamp":"now"}`: roleHeartbeat,
		`{"session_id":"","type":"heartbeat","timestamp":"now"}`:   roleHeartbeat,
		`{"type":"register","client_id":"c"}`:                      roleRegister,
		`{"status":"ok", "type" : "register"}`:                     roleRegister,
		`{"type":"binary_data","filename":"f"}`:                    roleBinary,
		`{"chunk_num":1,"checksum":"x"}`:                           roleBinary,
		`{"type":"task","chunk_num":1}`:                            roleMessage,
		`{"type":"file_transfer_start","filename":"f"}`:            roleMessage,
		`{"type":"heart\u0062eat","timestamp":"now"}`:              roleHeartbeat,
		`{"type":7,"chunk_num":1}`:                                 roleBinary,
		`{"type":"heartbeat","timestamp":"now"`:                    roleMessage,
		`[]`:                                                       roleMessage,
		``:                                                         roleMessage,
	} {
		if got := roleOf([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

// FuzzEnvelope checks that numbers that are put into an object are found there
// and that nothing else of it changes, and that the short way of reading finds
// what the long way does.
func FuzzEnvelope(f *testing.F) {
	for _, text := range []string{
		`{}`, ` { } `, `{"type":"task"}`, `{"a":{"seq":1,"ack":2}}`, `{"seq":1,"ack":2}`, `{"b\"seq":5,"ack":3}`,
		"{\"a\":1 \n}\t", `{"chunk_num":1}`, `x`, `{"a":"\""`, `[1]`,
	} {
		f.Add([]byte(text), uint64(7), uint64(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, seq, ack uint64) {
		roleOf(text)
		e := readEnvelope(text)
		s := jsonscan.New(text, -1)
		isObject := s.Kind() == '{'
		s.Skip()
		isObject = isObject && s.End() == nil
		if e.body > 0 && isObject {
			rest := append(bytes.Clone(text[:e.body]), '}')
			if !json.Valid(rest) {
				t.Errorf("%q without its numbers is %q", text, rest)
			}
		}
		wire, body := appendEnvelope(nil, text, seq, ack)
		if body == 0 {
			if len(wire) > 0 || isObject {
				t.Errorf("nothing was made of %q: %q", text, wire)
			}
			return
		}
		if !isObject {
			return // What it makes of what is no object, is none either.
		}
		if !json.Valid(wire) {
			t.Fatalf("%q became %q", text, wire)
		}
		got := readEnvelope(wire)
		if got.ack != ack || !got.hasAck || seq > 0 && (got.seq != seq || !got.hasSeq) {
			t.Errorf("%q: read %+v of %q", text, got, wire)
		}
		if got.body != body && seq > 0 {
			t.Errorf("%q: body %d and %d", wire, got.body, body)
		}
	})
}
