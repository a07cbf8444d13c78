package protocol

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// stall bounds one wait after the other, each from begin to end, without a
// context and a timer for each. It is for one goroutine.
type stall struct {
	parent context.Context
	limit  time.Duration

	wait   context.Context // that of the latest wait; nil if it was in vain
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// begin returns the context of a wait, which ends with the parent, or when the
// wait has taken too long.
func (s *stall) begin() context.Context {
	if s.wait != nil {
		s.timer.Reset(s.limit)
		return s.wait
	}
	wait, cancel := context.WithCancelCause(s.parent)
	s.wait, s.cancel = wait, cancel
	s.timer = time.AfterFunc(s.limit, func() {
		cancel(fmt.Errorf("%w: nothing moved for %v", ErrStalled, s.limit))
	})
	return wait
}

// end ends the wait, and returns err, unless that is the error of the wait's
// context and the wait has taken too long: then it returns an error that matches
// [ErrStalled].
func (s *stall) end(err error) error {
	if s.parent.Err() == nil && s.wait.Err() != nil && errors.Is(err, s.wait.Err()) {
		err = context.Cause(s.wait)
	}
	if !s.timer.Stop() {
		s.close()
	}
	return err
}

// close ends everything.
func (s *stall) close() {
	if s.wait != nil {
		s.timer.Stop()
		s.cancel(nil)
		s.wait = nil
	}
}
