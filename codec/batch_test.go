package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// nested returns an object that holds depth arrays, one in the other.
func nested(depth int) string {
	return `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
}

func TestBatchRoundTrip(t *testing.T) {
	raws := [][]byte{
		[]byte(`{}`),
		[]byte(`{"text":"[]{},\" \u005d","n":[{},[]]}`),
		[]byte(" \t\r\n{\"spaced\" : true}\n"),
		[]byte(`{"big":123456789012345678901234567890}`),
	}
	for n := range len(raws) + 1 {
		batch, err := codec.AppendBatch([]byte("before"), raws[:n]...)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := bytes.CutPrefix(batch, []byte("before"))
		if !ok || !codec.IsBatch(body) || !json.Valid(body) {
			t.Fatalf("batch is %q", batch)
		}
		got, err := codec.SplitBatch(body, nil)
		if err != nil || got == nil || len(got) != n {
			t.Fatalf("%d messages, error %v, want %d", len(got), err, n)
		}
		for i, raw := range got {
			if !bytes.Equal(raw, bytes.TrimSpace(raws[i])) {
				t.Errorf("message %d is %q, want %q", i, raw, raws[i])
			}
		}
	}
}

// Appending to one message must not write into the next.
func TestSplitBatchElementsAreApart(t *testing.T) {
	raws, err := codec.SplitBatch([]byte(`[{"a":1},{"b":2}]`), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(raws[0], "overwritten"...)
	if string(raws[1]) != `{"b":2}` {
		t.Errorf("the second became %q", raws[1])
	}
}

func TestSplitBatchHostile(t *testing.T) {
	var syntax *codec.SyntaxError
	cases := []struct {
		name, data string
		want       error // nil: a *codec.SyntaxError
		index      int
	}{
		{"empty", "", codec.ErrNotBatch, 0},
		{"white space", " \n", codec.ErrNotBatch, 0},
		{"a message", `{"type":"heartbeat"}`, codec.ErrNotBatch, 0},
		{"a string", `"[]"`, codec.ErrNotBatch, 0},
		{"a byte order mark", "\ufeff[]", codec.ErrNotBatch, 0},
		{"only a bracket", "[", nil, 0},
		{"not closed", `[{}`, nil, 1},
		{"closed twice", `[{}]]`, nil, 1},
		{"two arrays", `[{}][{}]`, nil, 1},
		{"trailing text", `[{}] x`, nil, 1},
		{"trailing zero byte", "[{}]\x00", nil, 1},
		{"trailing comma", `[{},]`, nil, 1},
		{"leading comma", `[,{}]`, nil, 0},
		{"two commas", `[{},,{}]`, nil, 1},
		{"no comma", `[{}{}]`, nil, 1},
		{"wrong bracket", `[{}}`, nil, 1},
		{"object not closed", `[{},{"a":1]`, nil, 1},
		{"string not closed", `[{"a":"]`, nil, 0},
		{"bare word", `[{},nul]`, nil, 1},
		{"no value", `[{"a":}]`, nil, 0},
		{"NaN", `[{"a":NaN}]`, nil, 0},
		{"comment", `[{}/**/]`, nil, 1},
		{"control character", "[{\"a\":\"\n\"}]", nil, 0},
		{"invalid UTF-8", "[{},{\"a\":\"\xff\"}]", nil, 0},
		{"invalid UTF-8 after another fault", "[{},1,\"\xff\"]", nil, 0},
		{"invalid UTF-8 after too many", "[{},{},{},{},{},\"\xff\"]", nil, 0},
		{"invalid UTF-8 after the end", "[{}]\xff", nil, 0},
		{"invalid UTF-8 and no batch", "{\"a\":\"\xff\"}", nil, 0},
		{"half a surrogate pair", `[{},{"a":"\ud800"}]`, nil, 1},
		{"null", `[{},null]`, codec.ErrBatchElement, 1},
		{"number", `[1]`, codec.ErrBatchElement, 0},
		{"string", `["{}"]`, codec.ErrBatchElement, 0},
		{"batch in a batch", `[{},{},[{}]]`, codec.ErrBatchElement, 2},
		{"too many", `[{},{},{},{},{}]`, codec.ErrTooLarge, 4},
		{"too many bytes", `[{"a":"` + strings.Repeat("x", 1000) + `"}]`, codec.ErrTooLarge, 0},
		{"too deep", `[{},` + nested(11) + `]`, codec.ErrTooDeep, 1},
		{"only brackets", strings.Repeat("[", 900), codec.ErrTooDeep, 0},
	}
	opts := &codec.BatchOptions{MaxCount: 4, MaxSize: 1000, MaxDepth: 10}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			raws, err := codec.SplitBatch([]byte(tc.data), opts)
			var typed *codec.BatchError
			if raws != nil || !errors.As(err, &typed) {
				t.Fatalf("%d messages, error %v", len(raws), err)
			}
			if typed.Index != tc.index {
				t.Errorf("error is about message %d, want %d: %v", typed.Index, tc.index, err)
			}
			if tc.want == nil && !errors.As(err, &syntax) || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func TestSplitBatchLimits(t *testing.T) {
	accept := func(data string, opts *codec.BatchOptions, want bool) {
		t.Helper()
		if _, err := codec.SplitBatch([]byte(data), opts); (err == nil) != want {
			t.Errorf("%.20q of %d bytes, %+v: error %v", data, len(data), opts, err)
		}
	}
	accept(`[{},{}]`, &codec.BatchOptions{MaxCount: 2, MaxSize: 7}, true)
	accept(`[{},{}]`, &codec.BatchOptions{MaxCount: 1}, false)
	accept(`[{},{}]`, &codec.BatchOptions{MaxSize: 6}, false)
	accept("["+nested(10)+"]", &codec.BatchOptions{MaxDepth: 10}, true)
	accept("["+nested(11)+"]", &codec.BatchOptions{MaxDepth: 10}, false)

	full := "[" + strings.Repeat("{},", codec.DefaultMaxBatch-1) + "{}]"
	accept(full, nil, true)
	accept(full[:len(full)-1]+",{}]", nil, false)
	accept(full[:len(full)-1]+",{}]", &codec.BatchOptions{MaxCount: -1, MaxSize: -1}, true)
	accept("["+nested(codec.DefaultMaxDepth)+"]", nil, true)
	accept("["+nested(codec.DefaultMaxDepth+1)+"]", nil, false)
	accept("["+nested(100_000)+"]", &codec.BatchOptions{MaxDepth: -1}, true)
}

// What a batch takes for a message nests as deep as what JSON takes for one.
func TestBatchDepthIsThatOfJSON(t *testing.T) {
	for _, depth := range []int{codec.DefaultMaxDepth - 1, codec.DefaultMaxDepth} {
		message := `{"type":"heartbeat","status":"ok","metadata":` + nested(depth) + `}`
		single := codec.JSON{}.Decode([]byte(message), new(messages.ClientMessage))
		_, batched := codec.SplitBatch([]byte("["+message+"]"), nil)
		if errors.Is(single, codec.ErrTooDeep) != errors.Is(batched, codec.ErrTooDeep) {
			t.Errorf("depth %d: alone %v, in a batch %v", depth, single, batched)
		}
	}
}

func TestAppendBatchRefuses(t *testing.T) {
	for bad, want := range map[string]error{
		"":          nil,
		"{":         nil,
		"{}{}":      nil,
		"{},{}":     nil,
		`{"a":1}]`:  nil,
		"{\"\xff\"": nil,
		"[]":        codec.ErrBatchElement,
		"null":      codec.ErrBatchElement,
	} {
		out, err := codec.AppendBatch([]byte("x"), []byte("{}"), []byte(bad))
		var typed *codec.BatchError
		if string(out) != "x" || !errors.As(err, &typed) || typed.Index != 1 {
			t.Errorf("%q: %q, error %v", bad, out, err)
		}
		var syntax *codec.SyntaxError
		if want == nil && !errors.As(err, &syntax) || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", bad, err, want)
		}
	}
}

func TestIsBatch(t *testing.T) {
	for data, want := range map[string]bool{
		"": false, " ": false, "{}": false, "[]": true, " \t\r\n[": true, "\v[]": false, `"["`: false, "x[": false,
	} {
		if got := codec.IsBatch([]byte(data)); got != want {
			t.Errorf("IsBatch(%q) = %v", data, got)
		}
	}
}

func TestEncodeAndDecodeBatch(t *testing.T) {
	var c codec.JSON
	sent := []messages.ClientMessage{
		{Type: messages.ClientHeartbeat, Status: messages.StatusOK, ClientID: "one"},
		{Type: messages.ClientHeartbeat, Status: messages.StatusOK, ClientID: "two"},
	}
	batch, err := codec.EncodeBatch([]byte("before"), c, sent)
	if err != nil {
		t.Fatal(err)
	}
	body, ok := bytes.CutPrefix(batch, []byte("before"))
	if !ok {
		t.Fatalf("batch is %q", batch)
	}
	n := 0
	for m, err := range codec.DecodeBatch[messages.ClientMessage](body, c, nil) {
		if err != nil || m.ClientID != sent[n].ClientID || m.Type != sent[n].Type {
			t.Errorf("message %d: %+v, error %v", n, m, err)
		}
		n++
	}
	if n != len(sent) {
		t.Errorf("%d messages, want %d", n, len(sent))
	}
}

// A message that does not decode is reported in its place, and the others are
// not lost.
func TestDecodeBatchGoesOn(t *testing.T) {
	data := `[{"type":"heartbeat","status":"ok"},{"type":"nonsense","status":"ok"},{"type":"error","status":"error"},{}]`
	var got []string
	for m, err := range codec.DecodeBatch[messages.ClientMessage]([]byte(data), codec.JSON{}, nil) {
		var typed *codec.BatchError
		var invalid *messages.ValidationError
		switch {
		case err == nil:
			got = append(got, string(m.Type))
		case errors.As(err, &typed) && errors.As(err, &invalid) && m == nil:
			got = append(got, fmt.Sprint("wrong ", typed.Index))
		default:
			t.Errorf("message %v, error %v", m, err)
		}
	}
	if want := "heartbeat,wrong 1,error,wrong 3"; strings.Join(got, ",") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for m, err := range codec.DecodeBatch[messages.ClientMessage]([]byte(data), codec.JSON{}, nil) {
		if m == nil || err != nil {
			t.Errorf("the first: %v, error %v", m, err)
		}
		break
	}
}

func TestDecodeBatchRefusesAll(t *testing.T) {
	n := 0
	for m, err := range codec.DecodeBatch[messages.ClientMessage]([]byte(`[{"type":"heartbeat","status":"ok"},1]`), codec.JSON{}, nil) {
		if n++; m != nil || !errors.Is(err, codec.ErrBatchElement) {
			t.Errorf("message %v, error %v", m, err)
		}
	}
	if n != 1 {
		t.Errorf("%d results, want the error alone", n)
	}
}

// badCodec is a Codec that fails or writes something else than an object.
type badCodec struct {
	codec.JSON
	writes string
	err    error
}

func (c badCodec) Append(dst []byte, _ any) ([]byte, error) {
	return append(dst, c.writes...), c.err
}

func TestEncodeBatchRefuses(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		c    badCodec
		want error
	}{
		{badCodec{err: broken}, broken},
		{badCodec{writes: "[]"}, codec.ErrBatchElement},
	} {
		out, err := codec.EncodeBatch([]byte("x"), tc.c, make([]messages.Result, 2))
		var typed *codec.BatchError
		if string(out) != "x" || !errors.Is(err, tc.want) || !errors.As(err, &typed) || typed.Index != 0 {
			t.Errorf("%q, error %v, want %v", out, err, tc.want)
		}
	}
}
