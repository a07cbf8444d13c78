package utf8text

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// BenchmarkValid measures Valid beside unicode/utf8, one directly after the other
// for each text:
//
//	go test -bench . -count 8 ./internal/utf8text
func BenchmarkValid(b *testing.B) {
	texts := []struct{ name, unit string }{
		{"ascii", "The quick brown fox jumps over the lazy dog. "},
		{"json", `{"control_type":"Button","control_text":"Save as \"ääää\"","control_rect":[12,34,56,78],"enabled":true,"scale":3.25,"parent":null}`},
		{"german", "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. "},
		{"russian", "Съешь же ещё этих мягких французских булок, да выпей чаю. "},
		{"chinese", "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。"},
		{"emoji", "ok 😀😃 fine 😄😁😆 "},
	}
	for _, text := range texts {
		for _, size := range []int{16, 48, 127, 1 << 10, 1 << 20} {
			p := []byte(strings.Repeat(text.unit, size/len(text.unit)+1))[:size]
			for !utf8.Valid(p) {
				p = p[:len(p)-1]
			}
			for _, way := range []struct {
				name  string
				valid func([]byte) bool
			}{{"utf8text", Valid}, {"std", utf8.Valid}} {
				b.Run(fmt.Sprintf("%s/%d/%s", text.name, size, way.name), func(b *testing.B) {
					b.SetBytes(int64(len(p)))
					for b.Loop() {
						if !way.valid(p) {
							b.Fatal("not valid")
						}
					}
				})
			}
		}
	}
}
