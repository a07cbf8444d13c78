package protocol

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// TestTombstonesGrowAfterSomeExpired: the ring begins anywhere when it grows.
func TestTombstonesGrowAfterSomeExpired(t *testing.T) {
	for early := range 40 {
		synctest.Test(t, func(t *testing.T) {
			var stones tombstones
			for i := range early {
				stones.add(matchKey{id: "early" + strconv.Itoa(i)}, true)
				time.Sleep(tombstoneLife / 5)
			}
			for i := range 100 {
				stones.add(matchKey{id: strconv.Itoa(i)}, false)
			}
			for i := range 100 {
				if found, before := stones.reply(matchKey{id: strconv.Itoa(i)}); !found || before {
					t.Errorf("after %d: stone %d: found %t, before %t", early, i, found, before)
				}
			}
		})
	}
}
