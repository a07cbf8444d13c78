package endpoint

import (
	"sync"
	"time"

	"github.com/aip-go/aip/messages"
)

// TaskOutcome is what is known of a task by its name.
type TaskOutcome struct {
	SessionID, TaskName string
	// Running: it has not ended yet; the rest is empty.
	Running bool
	// Status, Result and Error are those of its end.
	Status messages.TaskStatus
	Result messages.Value
	Error  string
	// Ended is when it ended.
	Ended time.Time
}

// Bounds of the outcomes that are kept.
const (
	maxOutcomes    = 1024
	maxOutcomeSize = 1 << 20
	maxOutcomeSum  = 64 << 20
)

// outcomes keeps how the last tasks ended, by name. The zero value keeps
// nothing.
type outcomes struct {
	age time.Duration // how long; 0 for not at all

	mu    sync.Mutex
	list  []TaskOutcome // the oldest first
	bytes int
}

// size is what o counts against the bounds.
func (o *TaskOutcome) size() int {
	return o.Result.Len() + len(o.Error) + len(o.SessionID) + len(o.TaskName)
}

// add keeps o, without its result if that is too large.
func (k *outcomes) add(o TaskOutcome) {
	if k.age <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if o.Result.Len() > maxOutcomeSize {
		o.Result, o.Error = messages.Value{}, errOutcomeSize
	}
	k.list = append(k.list, o)
	k.bytes += o.size()
	for len(k.list) > maxOutcomes || k.bytes > maxOutcomeSum {
		k.drop()
	}
}

const errOutcomeSize = "the result was too large to keep"

// find returns the last outcome of that name.
func (k *outcomes) find(taskName string) (TaskOutcome, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.list) > 0 && time.Since(k.list[0].Ended) > k.age {
		k.drop()
	}
	for i := len(k.list) - 1; i >= 0; i-- {
		if k.list[i].TaskName == taskName {
			return k.list[i], true
		}
	}
	return TaskOutcome{}, false
}

// drop forgets the oldest.
func (k *outcomes) drop() {
	k.bytes -= k.list[0].size()
	k.list[0] = TaskOutcome{}
	if k.list = k.list[1:]; len(k.list) == 0 {
		k.list = nil
	}
}

// TaskResult tells what has become of the latest task of that name: whether it
// runs, or how it ended, as long as that is kept ([ServerOptions]' ResultAge, the
// last 1,024 tasks, 1 MiB for a result and 64 MiB in all). It reports false for
// a name that it does not know.
func (s *Server) TaskResult(taskName string) (TaskOutcome, bool) {
	ended, found := s.outcomes.find(taskName)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sess := range s.sessions {
		if sess.taskName == taskName && !(found && ended.SessionID == sess.id) {
			return TaskOutcome{SessionID: sess.id, TaskName: taskName, Running: true}, true
		}
	}
	return ended, found
}
