package protocol

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/aip-go/aip/codec"
)

// ErrInvalidOptions is matched by the error for an option with a value that it
// cannot have.
var ErrInvalidOptions = errors.New("protocol: invalid options")

// Options configures an [AIPProtocol]. Nil and zero values mean the defaults.
type Options struct {
	// Codec encodes and decodes messages; nil means [codec.JSON] with its
	// defaults.
	Codec codec.Codec
	// SkipValidation sends messages without checking them against their model
	// first. What is received is always checked: by [codec.JSON] while it
	// decodes, after any other codec by the message's Validate.
	SkipValidation bool
	// Queue bounds what [AIPProtocol.Run] has read and no handler has had yet.
	Queue QueueOptions
	// MaxCalls is how many calls may wait for a reply at the same time; zero
	// means 1024, negative means no limit.
	MaxCalls int
	// CallTimeout bounds [AIPProtocol.Call] when its context has no deadline;
	// zero means 30 seconds, negative means no bound.
	CallTimeout time.Duration
	// RegistrationTimeout bounds [Register] and [AwaitRegistration]; zero means
	// 30 seconds for a client and 10 seconds for a server, negative means no
	// bound.
	RegistrationTimeout time.Duration
	// Logger is told of what no return value reports, such as errors of
	// handlers. Nil is silent.
	Logger *zap.Logger
}

// QueueOptions bounds the queue between the reading of messages and their
// handlers.
type QueueOptions struct {
	// Messages is how many may wait; zero means 256, negative means no limit.
	Messages int
	// Bytes is how many bytes they may have on the wire; zero means 64 MiB,
	// negative means no limit. A message larger than that is let in when
	// nothing else waits.
	Bytes int64
	// Policy is what happens when the queue is full.
	Policy QueuePolicy
}

// QueuePolicy says what happens to a message that finds the queue full. An
// interruption (see [AIPProtocol.OnInterrupted]) is never dropped and never a
// reason to disconnect: one of them is let in whatever the limits are, and what
// comes after a second one is read once the first has been handled.
type QueuePolicy uint8

const (
	// Block stops reading until a handler is done, so that the peer in turn
	// has to wait. While calls wait for their replies, as much again as the
	// limits say is read, in order to find them; beyond that, calls made by
	// handlers fail with [ErrQueueFull], because only the return of the
	// handler could make room.
	Block QueuePolicy = iota
	// DropOldest drops what has waited longest, and counts it in [Stats].
	DropOldest
	// Disconnect drops the whole queue and closes the connection with the code
	// 1013 (try again later); Run returns an error that matches [ErrQueueFull].
	Disconnect
)

const (
	defaultQueueMessages = 256
	defaultQueueBytes    = 64 << 20
	defaultMaxCalls      = 1024
	defaultCallTimeout   = 30 * time.Second
)

// withDefaults returns a copy of the options with every zero value replaced.
func (opts *Options) withDefaults() (Options, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Queue.Policy > Disconnect {
		return o, fmt.Errorf("%w: queue policy %d; use Block, DropOldest or Disconnect", ErrInvalidOptions, o.Queue.Policy)
	}
	if o.Codec == nil {
		o.Codec = codec.JSON{}
	}
	if o.Queue.Messages == 0 {
		o.Queue.Messages = defaultQueueMessages
	}
	if o.Queue.Bytes == 0 {
		o.Queue.Bytes = defaultQueueBytes
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = defaultMaxCalls
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = defaultCallTimeout
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	return o, nil
}
