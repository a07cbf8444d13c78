package resilience

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// storeModel is what a store is expected to have.
type storeModel struct {
	state SessionState
	kept  []KeptMessage
}

func (m *storeModel) clone() storeModel { return storeModel{m.state, slices.Clone(m.kept)} }

// operation is something done to a store and to a model.
type operation struct {
	name string
	do   func(Store) error
	keep func(*storeModel)
}

func opBegin(state SessionState) operation {
	return operation{fmt.Sprintf("begin %v", state), func(s Store) error { return s.Begin(state) },
		func(m *storeModel) { *m = storeModel{state: state} }}
}

func opSave(state SessionState) operation {
	return operation{fmt.Sprintf("save %v", state), func(s Store) error { return s.Save(state) },
		func(m *storeModel) { m.state = state }}
}

func opReceived(rx uint64) operation {
	return operation{fmt.Sprintf("received %d", rx), func(s Store) error { return s.Received(rx) },
		func(m *storeModel) { m.state.Received = rx }}
}

func opAppend(k KeptMessage) operation {
	return operation{fmt.Sprintf("append %d", k.Seq), func(s Store) error { return s.Append(k) },
		func(m *storeModel) { m.kept, m.state.Sent = append(m.kept, k), k.Seq }}
}

func opRelease(through uint64) operation {
	return operation{fmt.Sprintf("release %d", through), func(s Store) error { return s.Release(through) },
		func(m *storeModel) {
			m.kept = slices.DeleteFunc(m.kept, func(k KeptMessage) bool { return k.Seq <= through })
		}}
}

// randomOperation returns one that fits what the model has.
func randomOperation(rng *rand.Rand, m *storeModel) operation {
	text := func(max int) string { return strings.Repeat(string(rune('a'+rng.IntN(26))), rng.IntN(max)) }
	switch n := rng.IntN(100); {
	case n < 2:
		return opBegin(SessionState{Token: text(30), Epoch: text(9), Sent: rng.Uint64N(3), Received: rng.Uint64N(3)})
	case n < 8:
		state := m.state
		state.Token, state.PreviousToken, state.Owner = text(40), state.Token, text(9)
		state.Received += rng.Uint64N(2)
		if len(m.kept) == 0 {
			state.Sent += rng.Uint64N(2)
		}
		return opSave(state)
	case n < 30:
		return opReceived(m.state.Received + rng.Uint64N(3))
	case n < 70:
		k := KeptMessage{Seq: m.state.Sent + 1, Text: []byte(text(60))}
		if rng.IntN(3) == 0 {
			k.Binary = []byte(text(60))
		}
		return opAppend(k)
	default:
		return opRelease(rng.Uint64N(m.state.Sent + 1))
	}
}

// checkStore fails unless the store has what the model has.
func checkStore(t *testing.T, s Store, want *storeModel) {
	t.Helper()
	state, kept, err := s.Load()
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if got := (storeModel{state, kept}); !got.equal(want) {
		t.Fatalf("Load returns %s, want %s", got, want)
	}
}

func (m *storeModel) equal(other *storeModel) bool {
	return m.state == other.state && slices.EqualFunc(m.kept, other.kept, func(a, b KeptMessage) bool {
		return a.Seq == b.Seq && string(a.Text) == string(b.Text) && string(a.Binary) == string(b.Binary) &&
			(a.Binary == nil) == (b.Binary == nil)
	})
}

func (m storeModel) String() string { return fmt.Sprintf("%+v %v", m.state, m.kept) }

// testStore checks what any store does. fresh returns a function that opens one
// store, at first and after each Close.
func testStore(t *testing.T, fresh func(t *testing.T) (open func() Store)) {
	run := func(t *testing.T, operations ...operation) {
		open := fresh(t)
		s := open()
		defer func() { mustDo(t, "close", s.Close()) }()
		var m storeModel
		checkStore(t, s, &m)
		for _, o := range operations {
			mustDo(t, o.name, o.do(s))
			o.keep(&m)
			checkStore(t, s, &m)
			mustDo(t, "close", s.Close())
			s = open()
			checkStore(t, s, &m)
		}
	}
	state := SessionState{Token: "t2", PreviousToken: "t1", Epoch: "e", Owner: "o"}
	later := SessionState{Token: "t3", PreviousToken: "t2", Epoch: "e", Owner: "o", Sent: 2, Received: 9}
	text := KeptMessage{Seq: 1, Text: []byte(`{"seq":1}`)}
	both := KeptMessage{Seq: 2, Text: []byte(`{"seq":2}`), Binary: []byte{0, 1, 2}}
	empty := KeptMessage{Seq: 2, Text: []byte{}, Binary: []byte{}}

	t.Run("nothing", func(t *testing.T) { run(t) })
	t.Run("begin", func(t *testing.T) { run(t, opBegin(state)) })
	t.Run("append", func(t *testing.T) { run(t, opBegin(state), opAppend(text), opAppend(both)) })
	t.Run("append nothing", func(t *testing.T) { run(t, opBegin(state), opAppend(text), opAppend(empty)) })
	t.Run("append from elsewhere", func(t *testing.T) {
		run(t, opBegin(SessionState{Sent: 1 << 40}), opAppend(KeptMessage{Seq: 1<<40 + 1}))
	})
	t.Run("release", func(t *testing.T) {
		run(t, opBegin(state), opAppend(text), opAppend(both), opRelease(0), opRelease(1), opRelease(1), opRelease(2))
	})
	t.Run("received", func(t *testing.T) { run(t, opBegin(state), opReceived(1), opReceived(1), opReceived(1<<63)) })
	t.Run("save", func(t *testing.T) {
		run(t, opBegin(state), opAppend(text), opAppend(both), opSave(later), opRelease(2), opSave(later))
	})
	t.Run("begin anew", func(t *testing.T) {
		run(t, opBegin(state), opAppend(text), opReceived(4), opBegin(later), opBegin(SessionState{}), opAppend(text))
	})
	t.Run("release many", func(t *testing.T) {
		var operations []operation
		for seq := uint64(1); seq <= 150; seq++ {
			operations = append(operations, opAppend(KeptMessage{Seq: seq, Text: fmt.Append(nil, seq)}))
		}
		run(t, append(operations, opRelease(40), opRelease(100), opRelease(149), opRelease(150))...)
	})

	t.Run("numbers that do not fit", func(t *testing.T) {
		s := fresh(t)()
		defer func() { mustDo(t, "close", s.Close()) }()
		m := storeModel{}
		for _, o := range []operation{opBegin(later), opAppend(KeptMessage{Seq: 3, Text: []byte("three")})} {
			mustDo(t, o.name, o.do(s))
			o.keep(&m)
		}
		less, more, back := m.state, m.state, m.state
		less.Sent--
		more.Sent++
		back.Received--
		for _, o := range []operation{
			opAppend(KeptMessage{Seq: 0}), opAppend(KeptMessage{Seq: 3}), opAppend(KeptMessage{Seq: 5}),
			opRelease(4), opReceived(8), opSave(less), opSave(more), opSave(back),
		} {
			err := o.do(s)
			var storeErr *StoreError
			if !errors.Is(err, ErrStoreSequence) || !errors.As(err, &storeErr) || !strings.HasPrefix(o.name, storeErr.Op) {
				t.Errorf("%s: %v, want a StoreError with ErrStoreSequence", o.name, err)
			}
			checkStore(t, s, &m)
		}
		mustDo(t, "append", s.Append(KeptMessage{Seq: 4}))
	})
	t.Run("numbers end", func(t *testing.T) {
		s := fresh(t)()
		defer func() { mustDo(t, "close", s.Close()) }()
		mustDo(t, "begin", s.Begin(SessionState{Sent: 1<<64 - 1}))
		if err := s.Append(KeptMessage{Seq: 0}); !errors.Is(err, ErrStoreSequence) {
			t.Errorf("append 0 after the last number: %v, want ErrStoreSequence", err)
		}
	})
	t.Run("what Load returned stays", func(t *testing.T) {
		s := fresh(t)()
		defer func() { mustDo(t, "close", s.Close()) }()
		mustDo(t, "append", s.Append(text))
		mustDo(t, "append", s.Append(both))
		state, kept, err := s.Load()
		mustDo(t, "load", err)
		mustDo(t, "release", s.Release(2))
		mustDo(t, "append", s.Append(KeptMessage{Seq: 3, Text: []byte("three")}))
		want := storeModel{SessionState{Sent: 2}, []KeptMessage{text, both}}
		if got := (storeModel{state, kept}); !got.equal(&want) {
			t.Errorf("what Load had returned became %s, want %s", got, want)
		}
	})
	t.Run("close twice", func(t *testing.T) {
		s := fresh(t)()
		mustDo(t, "close", s.Close())
		mustDo(t, "close again", s.Close())
	})
	t.Run("random", func(t *testing.T) {
		for seed := range uint64(20) {
			open := fresh(t)
			s := open()
			rng := rand.New(rand.NewPCG(seed, 1))
			var m storeModel
			for i := range 200 {
				o := randomOperation(rng, &m)
				if err := o.do(s); err != nil {
					t.Fatalf("seed %d, operation %d: %s: %v", seed, i, o.name, err)
				}
				o.keep(&m)
				if rng.IntN(12) == 0 {
					mustDo(t, "close", s.Close())
					s = open()
					checkStore(t, s, &m)
				}
			}
			checkStore(t, s, &m)
			mustDo(t, "close", s.Close())
		}
	})
}

func mustDo(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func TestMemoryStore(t *testing.T) {
	testStore(t, func(*testing.T) func() Store {
		s := NewMemoryStore()
		return func() Store { return s }
	})
}

func TestFileStore(t *testing.T) {
	for _, synced := range []bool{false, true} {
		t.Run(fmt.Sprintf("sync=%t", synced), func(t *testing.T) {
			testStore(t, func(t *testing.T) func() Store {
				path := filepath.Join(t.TempDir(), "session")
				return func() Store {
					s, err := NewFileStore(path, &FileStoreOptions{Sync: synced})
					mustDo(t, "open", err)
					return s
				}
			})
		})
	}
}

// The same with a file that is rewritten often.
func TestFileStoreCompacting(t *testing.T) {
	testStore(t, func(t *testing.T) func() Store {
		path := filepath.Join(t.TempDir(), "session")
		return func() Store { return startStore(t, path, osDisk{}, 64) }
	})
}

// startStore starts a store with that slack.
func startStore(t testing.TB, path string, d disk, slack int64) *fileStore {
	t.Helper()
	s := newFileStore(path, FileStoreOptions{}, d)
	s.slack = slack
	mustDo(t, "open", s.start())
	return s
}
