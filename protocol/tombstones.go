package protocol

import "time"

const (
	maxTombstones = 1024
	tombstoneLife = 10 * time.Minute
)

// tombstones remembers the calls that are over, so that their late and
// duplicate replies are known for what they are. It keeps the newest of them,
// for a while. The zero value is ready. It is not safe for concurrent use.
type tombstones struct {
	stones map[matchKey]tombstone
	order  []grave // by age; graves that were reused or forgotten are skipped
	serial uint64
}

type tombstone struct {
	answered bool
	expires  time.Time
	serial   uint64
}

type grave struct {
	key    matchKey
	serial uint64
}

// add remembers a call, and whether its reply has come.
func (t *tombstones) add(key matchKey, answered bool) {
	if t.stones == nil {
		t.stones = map[matchKey]tombstone{}
	}
	now := time.Now()
	for len(t.order) > 0 {
		oldest := t.order[0]
		stone, ok := t.stones[oldest.key]
		current := ok && stone.serial == oldest.serial
		if current && len(t.order) < maxTombstones && now.Before(stone.expires) {
			break
		}
		if current {
			delete(t.stones, oldest.key)
		}
		t.order = t.order[1:]
	}
	t.serial++
	t.stones[key] = tombstone{answered: answered, expires: now.Add(tombstoneLife), serial: t.serial}
	t.order = append(t.order, grave{key, t.serial})
}

// reply notes a reply to a call that is over. It tells whether the call is
// known, and whether a reply came before.
func (t *tombstones) reply(key matchKey) (found, before bool) {
	stone, ok := t.stones[key]
	if !ok || !time.Now().Before(stone.expires) {
		return false, false
	}
	before = stone.answered
	stone.answered = true
	t.stones[key] = stone
	return true, before
}

// forget lets key be used again.
func (t *tombstones) forget(key matchKey) { delete(t.stones, key) }
