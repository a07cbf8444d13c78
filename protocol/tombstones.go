package protocol

import (
	"hash/maphash"
	"time"
)

const (
	maxTombstones = 1024
	tombstoneLife = 10 * time.Minute
)

// tombstones remembers the calls that are over, so that their late and
// duplicate replies are known for what they are. It keeps the newest of them,
// for a while. The zero value is ready. It is not safe for concurrent use.
//
// Every call adds one and hardly any is looked for, so they lie in a ring, which
// is searched from the newest on.
type tombstones struct {
	ring  []tombstone // count of them from first on, by age; its length is a power of two
	first int
	count int
	start time.Time // of the time that now returns; set with the first stone
}

type tombstone struct {
	key      matchKey
	hash     uint64 // of the key, to search by
	answered bool
	expires  time.Duration // as now has it
}

var tombstoneSeed = maphash.MakeSeed()

// hash returns a hash of the key: of the id alone, since hardly two have the
// same one.
func (k matchKey) hash() uint64 { return maphash.String(tombstoneSeed, k.id) }

// at returns the stone that is the i-th by age.
func (t *tombstones) at(i int) *tombstone { return &t.ring[(t.first+i)&(len(t.ring)-1)] }

// now returns the time since the start, which takes half as long to find out as
// the time of day.
func (t *tombstones) now() time.Duration { return time.Since(t.start) }

// add remembers a call, and whether its reply has come.
func (t *tombstones) add(key matchKey, answered bool) {
	if t.ring == nil {
		t.start = time.Now()
	}
	now := t.now()
	for t.count == maxTombstones || t.count > 0 && now >= t.at(0).expires {
		*t.at(0) = tombstone{}
		t.first = (t.first + 1) & (len(t.ring) - 1)
		t.count--
	}
	if t.count == len(t.ring) {
		t.grow()
	}
	t.count++
	*t.at(t.count - 1) = tombstone{key: key, hash: key.hash(), answered: answered, expires: now + tombstoneLife}
}

// grow makes room in a ring that is full.
func (t *tombstones) grow() {
	ring := make([]tombstone, min(max(8, 2*len(t.ring)), maxTombstones))
	n := copy(ring, t.ring[t.first:])
	copy(ring[n:], t.ring[:t.first])
	t.ring, t.first = ring, 0
}

// find returns the newest stone of key, unless it is too old; nil if there is
// none.
func (t *tombstones) find(key matchKey) *tombstone {
	hash := key.hash()
	for i := t.count - 1; i >= 0; i-- {
		if stone := t.at(i); stone.hash == hash && stone.key == key {
			if t.now() < stone.expires {
				return stone
			}
			break
		}
	}
	return nil
}

// reply notes a reply to a call that is over. It tells whether the call is
// known, and whether a reply came before.
func (t *tombstones) reply(key matchKey) (found, before bool) {
	stone := t.find(key)
	if stone == nil {
		return false, false
	}
	before = stone.answered
	stone.answered = true
	return true, before
}

// forget lets key be used again as if it never had been.
func (t *tombstones) forget(key matchKey) {
	if stone := t.find(key); stone != nil {
		stone.expires = 0
	}
}
