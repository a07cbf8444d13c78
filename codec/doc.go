// Package codec turns AIP's messages into bytes and back.
//
// [JSON] is AIP's own encoding, one JSON object per message, written either
// compactly or exactly as the reference implementation writes it. It is an
// implementation of [Codec], which is what the packages above ask for: any
// other encoding of the models of package messages can take its place.
//
// Three strategies work on bytes, whatever they hold, each usable alone and
// each with a limit on what a hostile peer can make it hold:
//
//   - compression: [Gzip], [Zstd], and [Auto], which leaves alone what would
//     not shrink;
//   - batches: [AppendBatch] and [SplitBatch], or [EncodeBatch] and
//     [DecodeBatch] for messages, put many into one frame; a [Batcher] decides
//     when;
//   - chunks: a [Chunker] cuts one large payload into many frames, and an
//     [Assembler] puts it together.
//
// The peers of the reference implementation know the JSON encoding only.
//
// # Errors
//
// A message that cannot be read is reported by what is wrong with it: the text
// ([*SyntaxError], [ErrTooDeep], [ErrTooLarge]) or the fields
// (*messages.ValidationError, every wrong one at once). No error holds any of
// the input, so that it can be logged and told to the peer.
package codec
