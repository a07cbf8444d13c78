package messages_test

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
)

func TestTimestamp(t *testing.T) {
	for _, test := range []struct {
		in   time.Time
		want string
	}{
		{time.Date(2026, 11, 22, 6, 18, 41, 772832999, time.UTC), "2026-11-22T06:18:41.772832+00:00"},
		{time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "2024-01-02T03:04:05.000000+00:00"},
		{time.Date(2024, 1, 2, 3, 4, 5, 0, time.FixedZone("", -5400)), "2024-01-02T04:34:05.000000+00:00"},
	} {
		if got := messages.Timestamp(test.in); got != test.want {
			t.Errorf("Timestamp(%v) = %s, want %s", test.in, got, test.want)
		}
		back, err := messages.ParseTimestamp(test.want)
		if err != nil || !back.Equal(test.in.Truncate(time.Microsecond)) {
			t.Errorf("ParseTimestamp(%s) = %v, %v", test.want, back, err)
		}
	}
}

// Every time has the text that the layout gives it, those beyond four digits of
// a year included.
func FuzzTimestamp(f *testing.F) {
	f.Add(int64(0), int64(0), 0)
	f.Add(int64(1763792321), int64(772832999), -5400)
	f.Add(int64(-62135596800), int64(999), 3600)
	f.Add(int64(253402300799), int64(999999999), 0)
	f.Add(int64(253402300800), int64(1), 0)
	f.Add(int64(-62167219201), int64(1), 0)
	f.Fuzz(func(t *testing.T, seconds, nanoseconds int64, offset int) {
		at := time.Unix(seconds, nanoseconds).In(time.FixedZone("", offset%86400))
		if got, want := messages.Timestamp(at), at.UTC().Format(messages.TimestampLayout); got != want {
			t.Errorf("Timestamp(%d, %d) = %s, want %s", seconds, nanoseconds, got, want)
		}
	})
}

func TestParseTimestamp(t *testing.T) {
	want := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, s := range []string{
		"2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05Z", "2024-01-02t03:04:05z", "2024-01-02T03:04:05.000Z",
		"2024-01-02T04:04:05+01:00", "2024-01-02T04:04:05+0100", "2024-01-02T03:04:05", "2024-01-02 03:04:05",
		"2024-01-02 03:04:05.000000000+00:00", "2024-01-02 04:04:05+0100", " 2024-01-02T03:04:05Z\n",
	} {
		if got, err := messages.ParseTimestamp(s); err != nil || !got.Equal(want) {
			t.Errorf("ParseTimestamp(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "now", "2024-13-02T03:04:05Z", "2024-01-02", "1704164645"} {
		if got, err := messages.ParseTimestamp(s); !errors.Is(err, messages.ErrTimestamp) || !got.IsZero() {
			t.Errorf("ParseTimestamp(%q) = %v, %v, want ErrTimestamp", s, got, err)
		}
	}
}

func TestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 100 {
		id := messages.NewID()
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("NewID() = %q", id)
		}
		seen[id] = true
	}
	if got := messages.ConstellationClientID("g", "dev1"); got != "g@dev1" {
		t.Errorf("ConstellationClientID = %q", got)
	}
	if got := messages.ConstellationSessionID("g", "t1"); got != "g@t1" {
		t.Errorf("ConstellationSessionID = %q", got)
	}
	if got := messages.ToolKey(messages.ToolAction, "click"); got != "action::click" {
		t.Errorf("ToolKey = %q", got)
	}
}
