package jsonscan

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
)

// whole reads data as one value.
func whole(data []byte, limit int) error {
	s := New(data, limit)
	s.Skip()
	return s.End()
}

func TestValid(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `12`, `-1.5`, `1e5`, `1E+5`, `1.0e-05`, `""`, `"a"`, `"é😀"`,
		`"\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00\uD83D\uDE00"`, "\"\x7f\"", `[]`, `{}`, `[[],{}]`,
		` [ 1 , 2 ] `, "\t\r\n{ \"a\" : { \"b\" : [ ] } , \"a\" : 1 }\n", `{"":""}`,
		`"12345678"`, `"123456789"`, `"1234567\n"`, `"12345678\n"`, `"é2345678"`, `[[[[[[[[1]]]]]]]]`,
	} {
		if err := whole([]byte(text), 10); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestInvalid(t *testing.T) {
	const (
		ends    = "the text ends too early"
		value   = "a value is needed"
		more    = "more text after the end of the value"
		key     = "a key in double quotes is needed"
		colon   = "a colon is needed"
		member  = "a comma or } is needed"
		element = "a comma or ] is needed"
		digit   = "a digit is needed"
		escape  = "an unknown escape in a string"
		hex     = "\\u needs four hex digits"
		half    = "half of a surrogate pair"
		control = "a control character in a string must be escaped"
	)
	for _, test := range []struct {
		text   string
		offset int
		reason string
	}{
		{``, 0, ends}, {`  `, 2, ends}, {`nul`, 0, value}, {`nulll`, 4, more}, {`Null`, 0, value},
		{`tru`, 0, value}, {`fals`, 0, value}, {`NaN`, 0, value}, {`Infinity`, 0, value}, {`-Infinity`, 1, digit},
		{`+1`, 0, value}, {`.5`, 0, value}, {`01`, 1, more}, {`-`, 1, ends}, {`1.`, 2, ends}, {`1.e5`, 2, digit},
		{`1e`, 2, ends}, {`1e+`, 3, ends}, {`0x1`, 1, more}, {`'a'`, 0, value}, {"\ufeff1", 0, value},
		{`"`, 1, ends}, {`"a`, 2, ends}, {`"\`, 2, ends}, {`"\x"`, 1, escape}, {`"\u12"`, 1, hex}, {`"\u12g4"`, 1, hex},
		{`"\ud800"`, 1, half}, {`"\udc00"`, 1, half}, {`"\ud800\ud800"`, 1, half}, {`"\ud800\u12"`, 1, half},
		{"\"a\nb\"", 2, control}, {"\"12345678\x1f\"", 9, control}, {"\"\x00\"", 1, control},
		{"\"ab\xff\"", 3, "invalid UTF-8"}, {"\"\xed\xa0\x80\"", 1, "invalid UTF-8"}, {"é\xc3", 2, "invalid UTF-8"},
		{`[`, 1, ends}, {`[1`, 2, ends}, {`[1,`, 3, ends}, {`[1,]`, 3, value}, {`[,1]`, 1, value}, {`[1 2]`, 3, element},
		{`[1}`, 2, element}, {`]`, 0, value}, {`[]]`, 2, more},
		{`{`, 1, ends}, {`{"a"`, 4, ends}, {`{"a":`, 5, ends}, {`{"a":1`, 6, ends}, {`{"a":1,`, 7, ends},
		{`{"a":1,}`, 7, key}, {`{,}`, 1, key}, {`{a:1}`, 1, key}, {`{1:1}`, 1, key}, {`{"a",1}`, 4, colon},
		{`{"a":}`, 5, value}, {`{"a":1 "b":2}`, 7, member}, {`{"a":1]`, 6, member}, {`{}}`, 2, more}, {`{"a":1/**/}`, 6, member},
		{`1 x`, 2, more}, {"1\x00", 1, more},
	} {
		err := whole([]byte(test.text), -1)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if syntax.Offset != test.offset || syntax.Reason != test.reason {
			t.Errorf("%q: %v, want %s at byte %d", test.text, err, test.reason, test.offset)
		}
	}
}

func TestDepth(t *testing.T) {
	for _, test := range []struct {
		depth, limit int
		ok           bool
	}{{1, 1, true}, {2, 1, false}, {0, 0, true}, {1, 0, false}, {200, 200, true}, {201, 200, false}, {200_000, -1, true}} {
		for _, text := range []string{
			strings.Repeat("[", test.depth) + "1" + strings.Repeat("]", test.depth),
			strings.Repeat(`{"a":`, test.depth) + "1" + strings.Repeat("}", test.depth),
		} {
			err := whole([]byte(text), test.limit)
			if (err == nil) != test.ok || (err != nil && !errors.Is(err, ErrDepth)) {
				t.Errorf("depth %d, limit %d: %v", test.depth, test.limit, err)
			}
		}
	}
	// One more container than the limit may be there if it is empty.
	for _, test := range []struct {
		text string
		ok   bool
	}{
		{`[]`, true}, {`{ }`, true}, {`[[]]`, false}, {`[{}]`, false}, {`["x"]`, false}, {`{"a":1}`, false}, {`[ ` + "\n" + `]`, true}, {`1`, true},
	} {
		text := strings.Repeat("[", 5) + test.text + strings.Repeat("]", 5)
		if err := whole([]byte(text), 5); (err == nil) != test.ok || (err != nil && !errors.Is(err, ErrDepth)) {
			t.Errorf("%s with limit 5: %v", text, err)
		}
	}
	// What is closed does not count, neither when skipped nor when entered.
	s := New([]byte(`[[[]],[[]],{"a":{"b":1}}]`), 3)
	s.Open()
	for s.NextElement() {
		s.Skip()
	}
	if err := s.End(); err != nil {
		t.Error(err)
	}
	s = New([]byte(`[[[1]]]`), 2)
	s.Open()
	for s.NextElement() {
		s.Open()
		for s.NextElement() {
			s.Skip()
		}
	}
	if err := s.End(); !errors.Is(err, ErrDepth) {
		t.Errorf("entering: %v", err)
	}
}

func TestWalk(t *testing.T) {
	s := New([]byte(` { "a\u00e9" : [ 1 , -2.5e3 , "x\ny" ] , "b" : {} , "c" : [] , "d" : { "e" : null } } `), 5)
	var got strings.Builder
	s.Open()
	for s.NextKey() {
		got.Write(s.Key())
		got.WriteByte('=')
		switch s.Kind() {
		case '[':
			s.Open()
			for s.NextElement() {
				if s.Kind() == '"' {
					got.WriteString(s.String())
				} else {
					got.Write(s.Number())
				}
				got.WriteByte(',')
			}
		case '{':
			got.Write(s.Raw())
		}
		got.WriteByte(';')
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if want := "aé=1,-2.5e3,x\ny,;b={};c=;d={ \"e\" : null };"; got.String() != want {
		t.Errorf("got %q, want %q", got.String(), want)
	}
}

// After an error every method fails quietly, and the first error stays.
func TestStickyError(t *testing.T) {
	s := New([]byte(`{"a":x,"b":[1]}`), -1)
	s.Open()
	if !s.NextKey() {
		t.Fatal(s.Err())
	}
	s.Skip()
	if s.NextKey() || s.NextElement() || s.Kind() != 0 || s.Raw() != nil || s.Number() != nil {
		t.Error("reading went on")
	}
	s.Open()
	s.Skip()
	var syntax *SyntaxError
	if err := s.End(); !errors.As(err, &syntax) || syntax.Offset != 5 {
		t.Errorf("the error is %v", err)
	}
	if text := s.Err().Error(); text != "jsonscan: a value is needed at byte 5" {
		t.Errorf("the text is %q", text)
	}
}

// Nor does anything go on behind what is nested too deeply.
func TestStickyDepth(t *testing.T) {
	s := New([]byte(`[[1],2]`), 1)
	s.Open()
	if !s.NextElement() {
		t.Fatal(s.Err())
	}
	s.Open()
	if s.NextElement() || s.Kind() != 0 || s.Raw() != nil || !errors.Is(s.End(), ErrDepth) {
		t.Errorf("reading went on: %v", s.Err())
	}
}

var surrogate = regexp.MustCompile(`(?i)^(?:[^\\]|\\[^u]|\\u[^d]...|\\ud[0-7]..|\\ud[89ab]..\\ud[c-f]..)*$`)

// The scanner accepts what encoding/json accepts, less bad UTF-8 and half
// surrogate pairs, and gives the same texts.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-2.5e3,"x\ny",null,true,false,{}]}`, `[`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", "\ufeff1", `01`,
		` [1 ,2] `, `{"a":1,"a":2}`, `1e400`, "\"12345678\x1f\"", `{"a":1,}`, `"\u00"`, `-`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, string(data))
		for _, place := range places {
			check(t, place.before+string(data)+place.after)
		}
		check(t, `{"k`+string(data)+`":[0]}`)
		if !valid(string(data)) {
			return
		}
		s := New(data, -1)
		if s.Kind() == '"' {
			var text string
			if err := json.Unmarshal(data, &text); err != nil || s.String() != text {
				t.Fatalf("%q is not %q (%v)", data, text, err)
			}
		}
		for _, layout := range []Layout{{}, {Spaced: true, ASCII: true}} {
			again := layout.AppendValue(nil, data)
			if err := whole(again, -1); err != nil {
				t.Fatalf("%q written as %q: %v", data, again, err)
			}
			if third := layout.AppendValue(nil, again); string(third) != string(again) {
				t.Fatalf("%q written as %q, then as %q", data, again, third)
			}
		}
	})
}
