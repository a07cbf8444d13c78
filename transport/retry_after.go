package transport

import (
	"fmt"
	"strings"
	"time"
)

const (
	retryAfterKey = "retry-after="
	// maxRetryAfter is the longest wait that a close reason can ask for.
	maxRetryAfter = time.Hour
)

// RetryAfterReason returns a close reason that says when to connect again:
// "retry-after=" and seconds, with up to three decimals, as in
// "retry-after=2.5". It is meant for [StatusGoingAway], [StatusServiceRestart]
// and [StatusTryAgainLater]. d is rounded up to milliseconds and held between
// zero and an hour. AIP leaves the reason open, so that other peers take it for
// text; [CloseError.RetryAfter] reads it.
func RetryAfterReason(d time.Duration) string {
	d = min(max(d, 0), maxRetryAfter)
	ms := int64((d + time.Millisecond - 1) / time.Millisecond)
	reason := fmt.Sprintf("%s%d", retryAfterKey, ms/1000)
	if part := ms % 1000; part > 0 {
		reason += strings.TrimRight(fmt.Sprintf(".%03d", part), "0")
	}
	return reason
}

// RetryAfter returns how long the peer asks to wait before the next connection,
// if it closed with 1001, 1012 or 1013 and its reason is as
// [RetryAfterReason] makes them: digits with at most nine decimals, up to
// 3600 s. Any other reason asks for nothing.
func (e *CloseError) RetryAfter() (time.Duration, bool) {
	switch {
	case !e.Remote:
		return 0, false
	case e.Code != StatusGoingAway && e.Code != StatusServiceRestart && e.Code != StatusTryAgainLater:
		return 0, false
	}
	text, ok := strings.CutPrefix(e.Reason, retryAfterKey)
	if !ok {
		return 0, false
	}
	whole, decimals, point := strings.Cut(text, ".")
	if !isDigits(whole, 4) || point && !isDigits(decimals, 9) {
		return 0, false
	}
	d, err := time.ParseDuration(text + "s")
	if err != nil || d > maxRetryAfter {
		return 0, false
	}
	return d, true
}

// isDigits reports whether s consists of one to most decimal digits.
func isDigits(s string, most int) bool {
	return s != "" && len(s) <= most && strings.Trim(s, "0123456789") == ""
}
