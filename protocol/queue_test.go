package protocol

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTombstonesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stones tombstones
		key := func(i int) matchKey { return matchKey{field: byTaskEnd, id: fmt.Sprint(i)} }
		for i := range 10 * maxTombstones {
			stones.add(key(i%(3*maxTombstones)), false)
			stones.add(key(i), false)
			stones.forget(key(i - 1))
			if stones.count > maxTombstones || len(stones.ring) > maxTombstones {
				t.Fatalf("%d stones in the space of %d", stones.count, len(stones.ring))
			}
		}
		if found, before := stones.reply(key(10*maxTombstones - 1)); !found || before {
			t.Error("the newest is not known")
		}
		if found, before := stones.reply(key(10*maxTombstones - 1)); !found || !before {
			t.Error("the second reply is not known as such")
		}
		time.Sleep(tombstoneLife)
		if found, _ := stones.reply(key(10*maxTombstones - 1)); found {
			t.Error("an old one is known")
		}
		stones.add(key(1), true)
		if stones.count != 1 {
			t.Errorf("old ones are kept: %d", stones.count)
		}
	})
}

// TestTombstoneOfTheNewest: a key may be used again, and what became of the
// newest call with it is what counts.
func TestTombstoneOfTheNewest(t *testing.T) {
	var stones tombstones
	key := matchKey{field: byResults, id: "id", session: "s"}
	other := matchKey{field: byResults, id: "id", session: "another"}
	stones.add(key, true)
	stones.add(key, false)
	stones.add(other, true)
	if found, before := stones.reply(key); !found || before {
		t.Errorf("the first reply to the second call: %v, %v", found, before)
	}
	stones.forget(key)
	if found, _ := stones.reply(key); found {
		t.Error("a forgotten key is known")
	}
	if found, before := stones.reply(other); !found || !before {
		t.Errorf("another key: %v, %v", found, before)
	}
}

func TestQueueModel(t *testing.T) {
	q := newQueue[int](-1, -1)
	var model []int
	for step := range 20000 {
		switch n := (step * 7919) % 10; {
		case n < 5:
			q.push(step, 3)
			model = append(model, step)
		case n == 5:
			q.unpop(step, 3)
			model = slices.Insert(model, 0, step)
		case n < 9 || step%101 != 0:
			v, ok := q.pop()
			if ok != (len(model) > 0) || ok && v != model[0] {
				t.Fatalf("step %d: got %d, %v; want %v", step, v, ok, model[:1])
			}
			if ok {
				model = model[1:]
			}
		default:
			q.clear()
			model = nil
		}
		if items, bytes := q.depth(); items != len(model) || bytes != int64(3*len(model)) {
			t.Fatalf("step %d: %d items, %d bytes, want %d", step, items, bytes, len(model))
		}
		if cap(q.items) > 4096 {
			t.Fatalf("step %d: %d items take the space of %d", step, len(model), cap(q.items))
		}
	}
}
