package codec_test

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
)

// vector is one line of testdata/vectors.jsonl: an input put to the reference
// implementation, its verdict, and what it wrote back.
type vector struct {
	ID     string
	Model  string
	Input  string
	Accept bool
	Output *string
}

func readLines[T any](t testing.TB, name string) []T {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var out []T
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line T
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		out = append(out, line)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// deliberate lists the vectors on which this codec differs from the reference
// on purpose, and why.
var deliberate = map[string]string{
	"ClientMessage-nan-0247":           "NaN and Infinity are not JSON",
	"BinaryMetadata-int-coercion-0298": "a string is no number",
	"BinaryMetadata-int-coercion-0300": "a string is no number",
	"BinaryMetadata-int-coercion-0302": "a boolean is no number",
	"ControlInfo-bool-coercion-0313":   "a number is no boolean",
	"ControlInfo-bool-coercion-0314":   "a number is no boolean",
	"ControlInfo-bool-coercion-0316":   "a string is no boolean",
	"ControlInfo-bool-coercion-0317":   "a string is no boolean",
	"ControlInfo-bool-coercion-0320":   "a number is no boolean",
}

// otherText lists the vectors whose output is the same value in another text.
var otherText = map[string]string{
	"ClientMessage-overflow-0249": "1e2 keeps its digits",
	"ServerMessage-result-7-0294": "1e22 keeps its digits",
}

// sameText reports whether a vector's output must be ours byte for byte. The
// binary models' vectors were not written as the reference sends them, and an
// empty optional string becomes null.
func (v vector) sameText() bool {
	if !v.Accept {
		return false
	}
	switch v.Model {
	case "BinaryMetadata", "FileTransferStart", "FileTransferComplete", "ChunkMetadata":
		return false
	}
	return otherText[v.ID] == "" && !strings.Contains(*v.Output, `""`)
}

func TestVectors(t *testing.T) {
	vectors := readLines[vector](t, "testdata/vectors.jsonl")
	if len(vectors) != 321 {
		t.Fatalf("%d vectors, want 321", len(vectors))
	}
	compared := 0
	for _, v := range vectors {
		if v.sameText() {
			compared++
		}
		t.Run(v.ID, func(t *testing.T) {
			output, err := codec.JSON{}.Validate(v.Model, []byte(v.Input))
			accept := err == nil
			same := accept == v.Accept && (!accept || sameValue(t, v.Model, output, []byte(*v.Output)))
			reason, differs := deliberate[v.ID]
			switch {
			case differs && same:
				t.Errorf("named as a difference (%s), but there is none", reason)
			case !differs && accept != v.Accept:
				t.Errorf("accept = %v (%v), the reference says %v\n%s", accept, err, v.Accept, v.Input)
			case !differs && !same:
				t.Errorf("wrote\n%s\nthe reference writes\n%s", output, *v.Output)
			case !differs && v.sameText() && string(output) != *v.Output:
				t.Errorf("wrote\n%s\nthe reference writes, byte for byte,\n%s", output, *v.Output)
			}
		})
	}
	if compared < 100 {
		t.Errorf("only %d outputs are compared byte for byte", compared)
	}
}

// A message that went through encoding/json is the same message, but for what
// encoding/json itself reads otherwise.
func TestVectorsThroughEncodingJSON(t *testing.T) {
	otherwise := map[string]string{
		"ClientMessage-both-keys-0244":     "it takes a key in another case",
		"BinaryMetadata-int-coercion-0299": "it does not take 5.0 for an integer",
		"BinaryMetadata-int-coercion-0305": "it does not take 1e3 for an integer",
	}
	compared := 0
	for _, v := range readLines[vector](t, "testdata/vectors.jsonl") {
		want, err := codec.JSON{}.Validate(v.Model, []byte(v.Input))
		if err != nil {
			continue
		}
		t.Run(v.ID, func(t *testing.T) {
			m := codec.NewModel(v.Model)
			err := json.Unmarshal([]byte(v.Input), m)
			var text, got []byte
			if err == nil {
				text, err = json.Marshal(m)
			}
			if err == nil {
				got, err = codec.JSON{}.Validate(v.Model, text)
			}
			if reason, ok := otherwise[v.ID]; ok == (err == nil && string(got) == string(want)) {
				t.Errorf("%s %v\n%s\nwant\n%s", reason, err, got, want)
			}
		})
		compared++
	}
	if compared < 150 {
		t.Errorf("only %d messages were compared", compared)
	}
}
