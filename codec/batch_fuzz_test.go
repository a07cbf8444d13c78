package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/aip-go/aip/codec"
)

// FuzzSplitBatch holds SplitBatch against encoding/json: what it takes, the
// other takes and splits alike; what it refuses, the other refuses too, unless
// it is a case in which the other is known to be lax.
func FuzzSplitBatch(f *testing.F) {
	for _, data := range []string{
		``, `[]`, `[{}]`, ` [ {"a" : [1,2.5e-3,null,true]} , {} ] `, `[{"a":"\u00e9\ud83d\ude00\n"}]`,
		`[{},]`, `[1]`, `[[{}]]`, `{}`, `[{}] x`, `[{"a":"]"},{"b":"}"}]`, "[{\"\xff\":1}]", `[{"a":"\ud800"}]`, `[{"a":-0.0,"a":01}]`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raws, err := codec.SplitBatch(data, &codec.BatchOptions{MaxCount: 1000, MaxSize: 1 << 20})
		var oracle []json.RawMessage
		oracleErr := json.Unmarshal(data, &oracle)
		if err == nil {
			if oracleErr != nil || len(oracle) != len(raws) || !codec.IsBatch(data) {
				t.Fatalf("took what encoding/json refuses or splits into %d: %v", len(oracle), oracleErr)
			}
			for i, raw := range raws {
				if !bytes.Equal(raw, oracle[i]) || raw[0] != '{' {
					t.Fatalf("message %d is %q, want %q", i, raw, oracle[i])
				}
			}
			batch, err := codec.AppendBatch(nil, raws...)
			if err != nil {
				t.Fatal(err)
			}
			again, err := codec.SplitBatch(batch, nil)
			if err != nil || len(again) != len(raws) {
				t.Fatalf("of what it took, %d of %d are left, error %v", len(again), len(raws), err)
			}
			return
		}
		var typed *codec.BatchError
		if !errors.As(err, &typed) || raws != nil {
			t.Fatalf("error %v", err)
		}
		lax := !utf8.Valid(data) || bytes.Contains(data, []byte(`\u`)) || oracle == nil ||
			errors.Is(err, codec.ErrTooDeep) || errors.Is(err, codec.ErrTooLarge) || errors.Is(err, codec.ErrBatchElement)
		if oracleErr == nil && !lax {
			t.Fatalf("refused what is good: %v", err)
		}
	})
}
