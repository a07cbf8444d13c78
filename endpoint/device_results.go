package endpoint

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/aip-go/aip/messages"
)

// ResultCacheOptions bounds the results that a [Device] keeps, so that a command
// that is repeated is answered and not run again. Zero values mean the
// defaults. The oldest results go first; a result that is larger than all of
// MaxBytes is kept as a failure that says so, so that its command is not run
// again either.
type ResultCacheOptions struct {
	// MaxResults is the number of results, one per action of a command.
	// Default 256; negative keeps none.
	MaxResults int
	// MaxBytes is how much memory they take, about. Default 8 MiB; negative
	// for no bound but the number.
	MaxBytes int64
	// MaxAge is how long a result is kept. Default 10 minutes; negative for no
	// bound.
	MaxAge time.Duration
}

var errResultNotKept = errors.New("this was done before; its result was too large to be kept")

// entrySize is what an entry of the cache takes beside its strings, about.
const entrySize = 512

// contentHash tells commands, or tasks, with the same ids apart.
type contentHash [sha256.Size]byte

// hashParts hashes the parts so that no two lists of them are hashed alike.
func hashParts(parts ...string) contentHash {
	b := make([]byte, 0, hashedSize)
	for _, part := range parts {
		b = appendPart(b, part)
	}
	return sha256.Sum256(b)
}

// hashedSize is how much is hashed without memory beyond the stack.
const hashedSize = 512

// appendPart appends a part with its length.
func appendPart[T string | []byte](dst []byte, part T) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(part)))
	return append(dst, part...)
}

// hashActions hashes what each of the actions asks for.
func hashActions(actions []messages.Command) []contentHash {
	hashes := make([]contentHash, len(actions))
	for i := range actions {
		hashes[i] = hashAction(&actions[i])
	}
	return hashes
}

func hashAction(action *messages.Command) contentHash {
	b := appendPart(appendPart(make([]byte, 0, hashedSize), string(action.ToolType)), action.ToolName)
	return sha256.Sum256(appendPart(b, action.Parameters.Bytes()))
}

// callKey names one action of a command.
type callKey struct {
	session, response, call string
	position                int // as call_ids may be missing
}

// resultCache keeps the results of calls, and knows which calls run. All methods
// may be called concurrently; nil keeps nothing.
type resultCache struct {
	options ResultCacheOptions

	mu      sync.Mutex
	entries map[callKey]*list.Element // of order
	order   list.List                 // of *cachedResult, oldest first
	size    int64
	running map[callKey]*cachedCall
}

type cachedResult struct {
	key     callKey
	content contentHash
	result  messages.Result
	size    int64
	since   time.Time
}

func newResultCache(o ResultCacheOptions) *resultCache {
	if o.MaxResults < 0 {
		return nil
	}
	o.MaxResults = limitOr(o.MaxResults, defaultCachedResults)
	o.MaxBytes = limitOr(o.MaxBytes, defaultCachedBytes)
	o.MaxAge = durationOr(o.MaxAge, defaultCachedAge)
	return &resultCache{options: o, entries: map[callKey]*list.Element{}, running: map[callKey]*cachedCall{}}
}

// call returns the call of the i'th action of m, which has that content: nil if
// it cannot be known again.
func (c *resultCache) call(m *messages.ServerMessage, i int, content contentHash) *cachedCall {
	if c == nil || m.ResponseID == "" {
		return nil
	}
	return &cachedCall{
		cache:   c,
		key:     callKey{m.SessionID, m.ResponseID, m.Actions[i].CallID, i},
		content: content,
	}
}

// get returns the result that is kept for a call. The cache is locked.
func (c *resultCache) get(key callKey, content contentHash) (messages.Result, bool) {
	for at := c.order.Front(); at != nil && time.Since(entry(at).since) >= c.options.MaxAge; at = c.order.Front() {
		c.remove(at)
	}
	if at := c.entries[key]; at != nil && entry(at).content == content {
		return entry(at).result, true
	}
	return messages.Result{}, false
}

// put keeps a result. The cache is locked.
func (c *resultCache) put(r *cachedResult) {
	if old := c.entries[r.key]; old != nil {
		c.remove(old)
	}
	c.entries[r.key] = c.order.PushBack(r)
	for c.size += r.size; c.size > c.options.MaxBytes || c.order.Len() > c.options.MaxResults; {
		c.remove(c.order.Front())
	}
}

func (c *resultCache) remove(at *list.Element) {
	r := entry(at)
	c.order.Remove(at)
	delete(c.entries, r.key)
	c.size -= r.size
}

func entry(at *list.Element) *cachedResult { return at.Value.(*cachedResult) }

// cachedCall is one call of a tool that is done once. Nil is a call that is done
// whenever it is asked for.
type cachedCall struct {
	cache   *resultCache
	key     callKey
	content contentHash
	ran     chan struct{} // closed when this run has ended; made for who waits for that
}

// claim returns the result of the call, if it is kept. Else the caller has to
// do the call, and to release it, or there is an error: ctx ended, perhaps
// while an earlier run went on.
func (c *cachedCall) claim(ctx context.Context) (kept messages.Result, ok bool, err error) {
	if c == nil {
		return messages.Result{}, false, context.Cause(ctx)
	}
	for {
		ran, kept, ok, err := c.try(ctx)
		if ran == nil {
			return kept, ok, err
		}
		select {
		case <-ran:
		case <-ctx.Done():
			return messages.Result{}, false, context.Cause(ctx)
		}
	}
}

// try claims the call, or returns what tells that an earlier run has ended.
func (c *cachedCall) try(ctx context.Context) (ran chan struct{}, kept messages.Result, ok bool, err error) {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if kept, ok := c.cache.get(c.key, c.content); ok {
		return nil, kept, true, nil
	}
	if ctx.Err() != nil {
		return nil, messages.Result{}, false, context.Cause(ctx)
	}
	if other := c.cache.running[c.key]; other != nil {
		if other.ran == nil {
			other.ran = make(chan struct{})
		}
		return other.ran, messages.Result{}, false, nil
	}
	c.cache.running[c.key] = c
	return nil, messages.Result{}, false, nil
}

// keep keeps r as the result of the call and returns it, or returns the one
// that was kept before: what was answered once stays so.
func (c *cachedCall) keep(r messages.Result) messages.Result {
	if c == nil {
		return r
	}
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if earlier, ok := c.cache.get(c.key, c.content); ok {
		return earlier
	}
	kept := &cachedResult{key: c.key, content: c.content, result: r, size: c.size(r), since: time.Now()}
	if kept.size > c.cache.options.MaxBytes {
		kept.result = failure(r.Namespace, errResultNotKept)
		kept.size = c.size(kept.result)
	}
	c.cache.put(kept)
	return r
}

func (c *cachedCall) size(r messages.Result) int64 {
	return int64(entrySize + len(c.key.session) + len(c.key.response) + len(c.key.call) +
		r.Result.Len() + len(r.Error) + len(r.Namespace))
}

// release ends the run of the call.
func (c *cachedCall) release() {
	if c == nil {
		return
	}
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	delete(c.cache.running, c.key)
	if c.ran != nil {
		close(c.ran)
	}
}
