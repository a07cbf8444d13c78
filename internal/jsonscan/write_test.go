package jsonscan

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendString(t *testing.T) {
	long := strings.Repeat("abcdefgh", 4)
	for _, test := range []struct{ in, raw, ascii string }{
		{"", `""`, `""`},
		{"a", `"a"`, `"a"`},
		{long, `"` + long + `"`, `"` + long + `"`},
		{`"\/`, `"\"\\/"`, `"\"\\/"`},
		{"\b\f\n\r\t\x00\x1f\x7f", `"\b\f\n\r\t\u0000\u001f` + "\x7f" + `"`, `"\b\f\n\r\t\u0000\u001f\u007f"`},
		{"<&>'", `"<&>'"`, `"<&>'"`},
		{"é名😀\u2028", `"é名😀` + "\u2028" + `"`, `"\u00e9\u540d\ud83d\ude00\u2028"`},
		{"1234567é", `"1234567é"`, `"1234567\u00e9"`},
		{"12345678\n12345678\x7f", `"12345678\n12345678` + "\x7f" + `"`, `"12345678\n12345678\u007f"`},
		{"a\xffb\xed\xa0\x80", "\"a\ufffdb\ufffd\ufffd\ufffd\"", `"a\ufffdb\ufffd\ufffd\ufffd"`},
		{"\ufffd", "\"\ufffd\"", `"\ufffd"`},
		{"\ufffe\uffff\U00010000", "\"\ufffe\uffff\U00010000\"", `"\ufffe\uffff\ud800\udc00"`},
	} {
		if got := string(AppendString([]byte("x"), test.in)); got != "x"+test.raw {
			t.Errorf("%q: got %s, want %s", test.in, got, test.raw)
		}
		if got := string(Layout{ASCII: true}.AppendString(nil, test.in)); got != test.ascii {
			t.Errorf("%q: got %s, want %s", test.in, got, test.ascii)
		}
	}
}

// Eight characters are looked at together: each must be seen wherever it is.
func TestAppendStringAtEveryPosition(t *testing.T) {
	for _, test := range []struct{ c, raw, ascii string }{
		{`"`, `\"`, `\"`}, {`\`, `\\`, `\\`}, {"\n", `\n`, `\n`}, {"\x00", `\u0000`, `\u0000`}, {"\x1f", `\u001f`, `\u001f`},
		{"\x7f", "\x7f", `\u007f`}, {"é", "é", `\u00e9`}, {"\xff", "\ufffd", `\ufffd`}, {"!", "!", "!"}, {"#", "#", "#"}, {"[", "[", "["}, {" ", " ", " "},
	} {
		for size := range 26 {
			for at := range size + 1 {
				before, after := strings.Repeat("a", at), strings.Repeat("b", size-at)
				for layout, c := range map[Layout]string{{}: test.raw, {ASCII: true}: test.ascii} {
					text := layout.AppendString(nil, before+test.c+after)
					if string(text) != `"`+before+c+after+`"` {
						t.Fatalf("%q at %d of %d: %s", test.c, at, size, text)
					}
					s := New(text, 0)
					if got := s.String(); got != strings.ToValidUTF8(before+test.c+after, "\ufffd") || s.End() != nil {
						t.Fatalf("%s read as %q, %v", text, got, s.Err())
					}
				}
			}
		}
	}
}

// Whatever room there is behind dst, what is before it stays, and what comes
// out is the same.
func TestAppendMember(t *testing.T) {
	for _, value := range []struct{ in, raw, ascii string }{
		{"", "", ""}, {"text", "text", "text"}, {"a longer text", "a longer text", "a longer text"},
		{"é", "é", `\u00e9`}, {"with a \n in it", `with a \n in it`, `with a \n in it`},
	} {
		for _, key := range []string{"", `{"k":`, `,"k":`} {
			spaced := strings.Replace(key, ",", ", ", 1)
			if key != "" {
				spaced += " "
			}
			for layout, want := range map[Layout]string{
				{}:                          key + `"` + value.raw + `"`,
				{Spaced: true}:              spaced + `"` + value.raw + `"`,
				{ASCII: true}:               key + `"` + value.ascii + `"`,
				{Spaced: true, ASCII: true}: spaced + `"` + value.ascii + `"`,
			} {
				for room := range len(want) + 2 {
					dst := append(make([]byte, 0, len("before")+room), "before"...)
					if got := layout.AppendMember(dst, key, value.in); string(got) != "before"+want {
						t.Errorf("%+v, %q, %q with room for %d: got %s, want before%s", layout, key, value.in, room, got, want)
					}
				}
			}
		}
	}
}

func TestAppendValue(t *testing.T) {
	in := " {\"a\\u00e9\\/\" : [ 1 , -2.50E+3 ,12345678901234567890123, null,true ] ,\n\"b\":{ }, \"é:,\":\"\\ud83d\\ude00\"} "
	if got, want := string(Layout{}.AppendValue(nil, []byte(in))),
		`{"aé/":[1,-2.50E+3,12345678901234567890123,null,true],"b":{},"é:,":"😀"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := string(Layout{Spaced: true, ASCII: true}.AppendValue(nil, []byte(in))),
		`{"a\u00e9/": [1, -2.50E+3, 12345678901234567890123, null, true], "b": {}, "\u00e9:,": "\ud83d\ude00"}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	infinite := `[1e400,-1e400,1e308,` + strings.Repeat("9", 400) + `,` + strings.Repeat("9", 400) + `.0,0.1e400,1e-400]`
	if got, want := string(Layout{}.AppendValue(nil, []byte(infinite))),
		`[null,null,1e308,`+strings.Repeat("9", 400)+`,null,null,1e-400]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Rewriting a value takes no memory but what it is written to.
func TestAppendValueDoesNotAllocate(t *testing.T) {
	value := []byte(`{"caf\u00e9":["a\/b\n",1.5e3,"\ud83d\ude00",null,"é` + strings.Repeat("x", 1000) + `"]}`)
	dst := make([]byte, 0, 4096)
	for _, layout := range []Layout{{}, {Spaced: true, ASCII: true}} {
		if n := testing.AllocsPerRun(100, func() { dst = layout.AppendValue(dst[:0], value) }); n != 0 {
			t.Errorf("%+v: %v allocations", layout, n)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "a\"\\\n", "é😀", "a\xff", strings.Repeat("x", 17) + "\x7f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, layout := range []Layout{{}, {ASCII: true}} {
			text := layout.AppendString(nil, in)
			var back string
			if err := json.Unmarshal(text, &back); err != nil || back != string([]rune(in)) {
				t.Fatalf("%q written as %s, read as %q, %v", in, text, back, err)
			}
			s := New(text, 0)
			if got := s.String(); got != back || s.End() != nil {
				t.Fatalf("%s scanned as %q, %v", text, got, s.Err())
			}
			if layout.ASCII && strings.IndexFunc(string(text), func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
				t.Fatalf("%q is not printable ASCII", text)
			}
			if !utf8.Valid(text) {
				t.Fatalf("%q is not UTF-8", text)
			}
		}
	})
}
