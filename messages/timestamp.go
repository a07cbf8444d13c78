package messages

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// TimestampLayout is the form in which timestamps are sent: microseconds and
// the offset +00:00.
const TimestampLayout = "2006-01-02T15:04:05.000000-07:00"

// Timestamp returns t in UTC in the form of [TimestampLayout].
func Timestamp(t time.Time) string {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.Format(TimestampLayout)
	}
	hour, minute, second := t.Clock()
	b := []byte("0000-00-00T00:00:00.000000+00:00")
	setDecimal(b[0:4], year)
	setDecimal(b[5:7], int(month))
	setDecimal(b[8:10], day)
	setDecimal(b[11:13], hour)
	setDecimal(b[14:16], minute)
	setDecimal(b[17:19], second)
	setDecimal(b[20:26], t.Nanosecond()/int(time.Microsecond))
	return string(b)
}

// setDecimal fills digits with n, which has no more of them.
func setDecimal(digits []byte, n int) {
	for i := len(digits) - 1; n > 0; i-- {
		digits[i] = byte('0' + n%10)
		n /= 10
	}
}

// ErrTimestamp is matched by the error of [ParseTimestamp].
var ErrTimestamp = errors.New("messages: not a timestamp")

// ParseTimestamp reads the timestamp of a message. It takes RFC 3339 with any
// number of fractional digits and is lenient beyond it: a space for the T, an
// offset without its colon, or none at all, which means UTC. The error matches
// [ErrTimestamp].
//
// Timestamps inform; a message with an unreadable one is still a message.
func ParseTimestamp(s string) (time.Time, error) {
	text := strings.ToUpper(strings.TrimSpace(s))
	for _, layout := range []string{
		"2006-01-02T15:04:05Z07:00",
		"2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05Z0700",
		"2006-01-02 15:04:05",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: use RFC 3339", ErrTimestamp)
}
