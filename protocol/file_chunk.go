package protocol

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// chunkInfo is what the text frame of a chunk says (spec section 1.7).
type chunkInfo struct {
	known  bool // it was read
	number int64
	// size and length are "size" and "chunk_size"; negative if they are absent.
	size, length int64
}

// chunkStart begins the text frame of a chunk, as this package and the
// reference write it.
var chunkStart = []byte(`{"chunk_num": `)

// appendChunk appends the text frame of a chunk: what [AIPProtocol.SendBinary]
// makes of its chunk_num and chunk_size.
func appendChunk(dst []byte, number int64, length int, now time.Time) []byte {
	dst = strconv.AppendInt(append(dst, chunkStart...), number, 10)
	dst = strconv.AppendInt(append(dst, `, "chunk_size": `...), int64(length), 10)
	dst = append(dst, `, "type": "`+messages.BinaryDataType+`", "size": `...)
	dst = strconv.AppendInt(dst, int64(length), 10)
	dst = append(append(dst, `, "timestamp": "`...), messages.Timestamp(now)...)
	return append(dst, `"}`...)
}

// sendChunk sends a chunk, whose text frame it puts into buffer, which it
// returns.
func (p *AIPProtocol[Out, In]) sendChunk(ctx context.Context, buffer []byte, number int64, data []byte) ([]byte, error) {
	if c := p.middleware.Load(); c != nil && len(c.outgoingBinary) > 0 {
		return buffer, p.SendBinary(ctx, data, messages.Object{
			{Key: "chunk_num", Value: numberValue(number)},
			{Key: "chunk_size", Value: numberValue(int64(len(data)))},
		})
	}
	buffer = appendChunk(buffer, number, len(data), time.Now())
	return buffer, p.sendUnit(ctx, buffer, data)
}

// parseChunk reads the text frame of a chunk in the form in which this package
// and the reference write it, of which there are so many that the values of its
// members cannot each have memory of their own. It reports false for any other
// text, be it of a chunk or not: that is for [decodeMetadata].
func parseChunk(text []byte) (c chunkInfo, ok bool) {
	if !bytes.HasPrefix(text, chunkStart) || len(text) > maxMetadata {
		return chunkInfo{}, false
	}
	s := jsonscan.New(text, 1)
	var seen [5]bool
	for s.Open(); s.NextKey(); {
		var at int
		switch string(s.Key()) {
		case "chunk_num":
			at = 0
			c.number, ok = smallInt(&s)
		case "chunk_size":
			at = 1
			c.length, ok = smallInt(&s)
		case "size":
			at = 2
			c.size, ok = smallInt(&s)
		case "type":
			at = 3
			ok = s.Kind() == '"' && string(s.Text()) == messages.BinaryDataType
		case "timestamp":
			at, ok = 4, true
			s.Skip()
		default:
			return chunkInfo{}, false
		}
		if !ok || seen[at] {
			return chunkInfo{}, false
		}
		seen[at] = true
	}
	if s.End() != nil || seen != [5]bool{true, true, true, true, true} {
		return chunkInfo{}, false
	}
	c.known = true
	return c, true
}

// smallInt reads a number that is an integer of at most 18 digits without a
// sign.
func smallInt(s *jsonscan.Scanner) (n int64, ok bool) {
	if c := s.Kind(); c < '0' || c > '9' {
		return 0, false
	}
	digits := s.Number()
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + int64(d-'0')
	}
	return n, true
}

// chunkOf returns what the metadata of a chunk says.
func chunkOf(o messages.Object) (c chunkInfo, err error) {
	if c.number, err = requireInt(o, "chunk_num"); err != nil {
		return c, err
	}
	for _, field := range []struct {
		key  string
		into *int64
	}{{"size", &c.size}, {"chunk_size", &c.length}} {
		n, ok, err := intField(o, field.key)
		switch {
		case err != nil:
			return c, err
		case !ok:
			n = -1
		case n < 0:
			return c, fmt.Errorf("%w: %q of chunk %d is %d", ErrSize, field.key, c.number, n)
		}
		*field.into = n
	}
	c.known = true
	return c, nil
}
