package codec

import (
	"fmt"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

// Defaults and limits of [JSON].
const (
	// DefaultMaxDepth is in how many objects and arrays a value may lie, the
	// message itself included. It is the limit of the reference
	// implementation: there may be one more of them, as long as it is empty.
	DefaultMaxDepth = 200

	// DefaultMaxSize is how long an encoded message may be: 100 MiB.
	DefaultMaxSize = 100 << 20
)

// Style is how [JSON] writes.
type Style int

const (
	// Compact leaves out the fields that are not set. Every AIP peer takes it.
	Compact Style = iota

	// Reference writes what the reference implementation writes, byte for
	// byte: every declared field in its order, null for an unset one, and
	// non-ASCII characters as they are. The binary models are written as it
	// sends them: a space behind commas and colons, \uXXXX for non-ASCII
	// characters, and no unset fields but the mime_type of a file's start,
	// because it takes a null checksum for a wrong one. Free-form values are
	// the same values in that layout: a number keeps its digits, unless it is
	// beyond a float64, which the reference writes as null, and a key given
	// twice stays twice.
	Reference
)

// JSON is the codec of AIP's own encoding: one JSON object per message. The
// zero value is ready to use.
//
// It is strict about the text (RFC 8259, UTF-8, no byte order mark, no half
// surrogate pairs, no NaN), matches keys exactly, lets the last of duplicate
// keys win, and ignores unknown fields, except that the four binary models
// keep them in Extra. Numbers in free-form values keep every digit. Integers
// may be written 5, 5.0 or 5e0; numbers and booleans in quotes, and 0 and 1
// for booleans, are refused.
//
// Decode reports a text that is not JSON as *[SyntaxError], one that nests too
// deeply as [ErrTooDeep], one that is too long as [ErrTooLarge], and an object
// that does not fit its model as *messages.ValidationError with every wrong
// field. A decoded message holds copies: it shares no memory with the input.
// Its short strings share memory with each other, so that who keeps one of them
// keeps up to 512 bytes; clone one that is to be kept in great numbers.
//
// Append writes a string that is not UTF-8 with U+FFFD in place of the bad
// bytes. It does not validate: see messages.ClientMessage.Validate.
type JSON struct {
	// MaxDepth limits in how many objects and arrays a value may lie, the
	// message itself included, when decoding; 0 means DefaultMaxDepth,
	// negative means no limit.
	MaxDepth int

	// MaxSize limits the length of one encoded message in bytes, in both
	// directions; 0 means DefaultMaxSize, negative means no limit. It limits
	// memory, too: a decoded message can take about 20 times that of its
	// text (a list of empty strings does), an AppWindowControlInfo 150 times.
	MaxSize int

	// Style is how Append writes; the zero value is Compact.
	Style Style
}

var _ Codec = JSON{}

// Name returns "json".
func (JSON) Name() string { return "json" }

// Append implements [Codec]. It allocates only to grow dst, and where Reference
// has a number become null. Its errors match [ErrModel], [ErrTooLarge] or
// [ErrStyle].
func (c JSON) Append(dst []byte, m any) ([]byte, error) {
	if c.Style != Compact && c.Style != Reference {
		return dst, fmt.Errorf("%w: use Compact or Reference", ErrStyle)
	}
	reference := c.Style == Reference
	e := encoder{reference: reference, nulls: reference}
	all := e.model(dst, m)
	if all == nil {
		return dst, fmt.Errorf("%w: %T", ErrModel, m)
	}
	if limit := limitOf(c.MaxSize, DefaultMaxSize); len(all)-len(dst) > limit {
		return dst, tooLarge(len(all)-len(dst), limit)
	}
	return all, nil
}

// Decode implements [Codec]. Its errors are those listed at [JSON], or match
// [ErrModel].
func (c JSON) Decode(data []byte, m any) error {
	if limit := limitOf(c.MaxSize, DefaultMaxSize); len(data) > limit {
		return tooLarge(len(data), limit)
	}
	d := decoder{s: jsonscan.New(data, limitOf(c.MaxDepth, DefaultMaxDepth))}
	return d.model(m)
}

// Validate decodes input as the model of that name ("ClientMessage") and
// returns it as the reference implementation writes it, whatever c.Style is.
// Its errors are those of Decode.
func (c JSON) Validate(model string, input []byte) (output []byte, err error) {
	m := NewModel(model)
	if m == nil {
		return nil, fmt.Errorf("%w: use one of %v", ErrModel, Models())
	}
	if err := c.Decode(input, m); err != nil {
		return nil, err
	}
	c.Style = Reference
	return c.Append(nil, m)
}

// Models returns the names of the models, which are those of the types of
// package messages.
func Models() []string {
	return []string{
		"ClientMessage", "ServerMessage", "Command", "Result",
		"Rect", "ControlInfo", "WindowInfo", "AppWindowControlInfo", "MCPToolInfo",
		"BinaryMetadata", "FileTransferStart", "FileTransferComplete", "ChunkMetadata",
	}
}

// NewModel returns a pointer to a new, empty model of that name, nil if there
// is none.
func NewModel(name string) any {
	switch name {
	case "ClientMessage":
		return new(messages.ClientMessage)
	case "ServerMessage":
		return new(messages.ServerMessage)
	case "Command":
		return new(messages.Command)
	case "Result":
		return new(messages.Result)
	case "Rect":
		return new(messages.Rect)
	case "ControlInfo":
		return new(messages.ControlInfo)
	case "WindowInfo":
		return new(messages.WindowInfo)
	case "AppWindowControlInfo":
		return new(messages.AppWindowControlInfo)
	case "MCPToolInfo":
		return new(messages.MCPToolInfo)
	case "BinaryMetadata":
		return new(messages.BinaryMetadata)
	case "FileTransferStart":
		return new(messages.FileTransferStart)
	case "FileTransferComplete":
		return new(messages.FileTransferComplete)
	case "ChunkMetadata":
		return new(messages.ChunkMetadata)
	}
	return nil
}
