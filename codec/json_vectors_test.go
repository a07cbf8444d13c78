package codec_test

import (
	"bufio"
	"encoding/json"
	"os"
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

func TestVectors(t *testing.T) {
	vectors := readLines[vector](t, "testdata/vectors.jsonl")
	if len(vectors) != 321 {
		t.Fatalf("%d vectors, want 321", len(vectors))
	}
	for _, v := range vectors {
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
			}
		})
	}
}
