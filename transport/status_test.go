package transport_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/aip-go/aip/transport"
)

// TestSendable: RFC 6455 section 7.4 and the IANA registry.
func TestSendable(t *testing.T) {
	for code := transport.StatusCode(-1); code <= 5001; code++ {
		want := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006 ||
			code >= 3000 && code <= 4999
		if got := code.Sendable(); got != want {
			t.Errorf("%d is sendable: %v", int(code), got)
		}
	}
}

func TestStatusNames(t *testing.T) {
	for code, want := range map[transport.StatusCode]string{
		transport.StatusNormal:   "1000 (normal closure)",
		transport.StatusAbnormal: "1006 (abnormal closure)",
		4321:                     "4321",
	} {
		if got := code.String(); got != want {
			t.Errorf("%d is called %q, want %q", int(code), got, want)
		}
	}
}

func TestTruncateReason(t *testing.T) {
	for _, test := range []struct{ name, reason, want string }{
		{"empty", "", ""},
		{"short", "bye", "bye"},
		{"123 bytes", strings.Repeat("x", 123), strings.Repeat("x", 123)},
		{"124 bytes", strings.Repeat("x", 124), strings.Repeat("x", 123)},
		{"two bytes each", strings.Repeat("é", 62), strings.Repeat("é", 61)},
		{"three bytes each", "ab" + strings.Repeat("€", 50), "ab" + strings.Repeat("€", 40)},
		{"four bytes each", strings.Repeat("😀", 31), strings.Repeat("😀", 30)},
		{"invalid end", "abc\xff", "abc"},
		{"invalid middle", "abc\xffdef", "abc"},
		{"half a character", "abc\xe2\x82", "abc"},
		{"a replacement character", "abc\uFFFDdef", "abc\uFFFDdef"},
		{"a long one with a replacement character", "\uFFFD" + strings.Repeat("x", 130), "\uFFFD" + strings.Repeat("x", 120)},
	} {
		if got := transport.TruncateReason(test.reason); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// FuzzTruncateReason: the result is a beginning of the reason, fits, is UTF-8,
// and could not be longer.
func FuzzTruncateReason(f *testing.F) {
	for _, seed := range []string{"", "bye", strings.Repeat("€", 42), strings.Repeat("x", 122) + "é", "\xff", "a\uFFFD"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reason string) {
		got := transport.TruncateReason(reason)
		if !strings.HasPrefix(reason, got) || len(got) > 123 || !utf8.ValidString(got) {
			t.Fatalf("%q became %q", reason, got)
		}
		if rest := reason[len(got):]; rest != "" {
			r, width := utf8.DecodeRuneInString(rest)
			if (r != utf8.RuneError || width > 1) && len(got)+width <= 123 {
				t.Errorf("%q became %q, which is too short", reason, got)
			}
		}
	})
}
