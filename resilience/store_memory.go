package resilience

import (
	"fmt"
	"slices"
)

// NewMemoryStore returns a [Store] that keeps everything in memory, as long as
// the program refers to it. A later session continues the earlier one if it is
// given the same store, also after Close, which does nothing: there is nothing
// to give up.
//
// It keeps the byte slices that it is given until they are released. A number
// that does not fit is a [*StoreError] with [ErrStoreSequence]: one that Append
// is given must be the last one plus 1, Release cannot be given one that was
// not sent, and neither Received nor Save can lead back. The numbers of Append
// and Received are in the state that Load returns.
func NewMemoryStore() Store { return &memoryStore{} }

// memoryStore has the messages up to state.Sent in kept, from head on. The
// methods that change something do it only if there is no error.
type memoryStore struct {
	state SessionState
	kept  []KeptMessage
	head  int
}

// Load returns the state, and a copy of the list of messages.
func (s *memoryStore) Load() (SessionState, []KeptMessage, error) {
	return s.state, slices.Clone(s.messages()), nil
}

// Begin forgets everything and keeps state.
func (s *memoryStore) Begin(state SessionState) error {
	*s = memoryStore{state: state}
	return nil
}

// Save keeps state instead of the earlier one.
func (s *memoryStore) Save(state SessionState) error {
	if err := s.checkSave(state); err != nil {
		return &StoreError{Op: "save", Err: err}
	}
	s.state = state
	return nil
}

// Received keeps rx in the state.
func (s *memoryStore) Received(rx uint64) error {
	if err := s.checkReceived(rx); err != nil {
		return &StoreError{Op: "received", Err: err}
	}
	s.state.Received = rx
	return nil
}

// Append keeps m, and its number in the state.
func (s *memoryStore) Append(m KeptMessage) error {
	if err := s.checkAppend(m.Seq); err != nil {
		return &StoreError{Op: "append", Err: err}
	}
	s.kept = append(s.kept, m)
	s.state.Sent = m.Seq
	return nil
}

// Release drops the references to the messages up to through. The space before
// the head is reused once it is the larger part.
func (s *memoryStore) Release(through uint64) error {
	if err := s.checkRelease(through); err != nil {
		return &StoreError{Op: "release", Err: err}
	}
	n := s.releases(through)
	clear(s.kept[s.head : s.head+n])
	s.head += n
	switch {
	case s.head == len(s.kept):
		s.kept, s.head = s.kept[:0], 0
	case s.head > 32 && s.head > len(s.kept)/2:
		s.kept = slices.Delete(s.kept, 0, s.head)
		s.head = 0
	}
	return nil
}

// Close does nothing.
func (s *memoryStore) Close() error { return nil }

// messages returns what is kept. It is valid until the next change.
func (s *memoryStore) messages() []KeptMessage { return s.kept[s.head:] }

// released returns the number up to and including which nothing is kept.
func (s *memoryStore) released() uint64 { return s.state.Sent - uint64(len(s.messages())) }

// releases returns how many messages a release through a number drops.
func (s *memoryStore) releases(through uint64) int {
	released := s.released()
	if through <= released {
		return 0
	}
	return int(through - released)
}

func (s *memoryStore) checkSave(state SessionState) error {
	switch {
	case state.Sent < s.state.Sent, state.Sent > s.state.Sent && len(s.messages()) > 0:
		return fmt.Errorf("%w: sent %d after %d, with %d kept", ErrStoreSequence, state.Sent, s.state.Sent, len(s.messages()))
	default:
		return s.checkReceived(state.Received)
	}
}

func (s *memoryStore) checkReceived(rx uint64) error {
	if rx < s.state.Received {
		return fmt.Errorf("%w: received %d after %d", ErrStoreSequence, rx, s.state.Received)
	}
	return nil
}

func (s *memoryStore) checkAppend(seq uint64) error {
	if seq == 0 || seq != s.state.Sent+1 {
		return fmt.Errorf("%w: message %d after %d", ErrStoreSequence, seq, s.state.Sent)
	}
	return nil
}

func (s *memoryStore) checkRelease(through uint64) error {
	if through > s.state.Sent {
		return fmt.Errorf("%w: release through %d of %d sent", ErrStoreSequence, through, s.state.Sent)
	}
	return nil
}
