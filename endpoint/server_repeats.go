package endpoint

import (
	"container/list"
	"slices"
	"time"

	"github.com/aip-go/aip/messages"
)

// What is remembered of tasks that have ended.
const (
	rememberedTime    = 2 * time.Minute
	maxRemembered     = 128      // of one client
	maxRememberedAll  = 16 << 10 // of all clients
	maxRememberedSize = 1 << 20  // of one end, in bytes
	maxRememberedSum  = 64 << 20 // of all ends
)

// endNotKept answers a TASK that is repeated after its end.
const endNotKept = "this task has ended already; its end was too large to be kept for a second answer"

// taskKey names the task that a TASK asks for. Without a request_id a TASK
// cannot be known again.
type taskKey struct {
	owner, client    string
	role             messages.ClientType
	session, request string
}

// taskMemory remembers the tasks that run and those that ended lately, so that
// a TASK that is repeated is answered and not run again. It is guarded by the
// server's lock.
type taskMemory struct {
	tasks   map[taskKey]*rememberedTask
	ended   list.List                    // of *rememberedTask, oldest first
	clients map[string][]*rememberedTask // the same by client
	size    int64
}

// rememberedTask is a task that runs or has ended.
type rememberedTask struct {
	key     taskKey
	content contentHash
	session *session // while it runs

	// After the end; end is nil if it is too large to be kept.
	sessionID string
	end       *messages.ServerMessage
	size      int64
	since     time.Time
	place     *list.Element
}

func newTaskMemory() taskMemory {
	return taskMemory{tasks: map[taskKey]*rememberedTask{}, clients: map[string][]*rememberedTask{}}
}

func taskKeyOf(c *client, m *messages.ClientMessage) taskKey {
	return taskKey{c.principal.owner(), c.info.ID, c.info.Role, m.SessionID, m.RequestID}
}

// hashTask hashes what a TASK asks for.
func hashTask(m *messages.ClientMessage) contentHash {
	return hashParts(m.TargetID, m.Request, m.TaskName, m.Metadata.String())
}

// find returns what is remembered of the task that m of c asks for, or nil.
func (t *taskMemory) find(c *client, m *messages.ClientMessage) *rememberedTask {
	for at := t.ended.Front(); at != nil && time.Since(remembered(at).since) >= rememberedTime; at = t.ended.Front() {
		t.forget(remembered(at))
	}
	if m.RequestID == "" {
		return nil
	}
	if task := t.tasks[taskKeyOf(c, m)]; task != nil && task.content == hashTask(m) {
		return task
	}
	return nil
}

// begin notes that sess is the task that m of c asks for.
func (t *taskMemory) begin(c *client, m *messages.ClientMessage, sess *session) {
	if m.RequestID == "" {
		return
	}
	key := taskKeyOf(c, m)
	if old := t.tasks[key]; old != nil {
		t.forget(old)
	}
	sess.memory = &rememberedTask{key: key, content: hashTask(m), session: sess}
	t.tasks[key] = sess.memory
}

// remember keeps the end of sess, which the requester was told, in case that it
// asks again.
func (s *Server) remember(sess *session, end *messages.ServerMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess.answered = true
	s.memory.finish(sess, end)
}

// abandon forgets the task of sess, if it never ended for its requester.
func (t *taskMemory) abandon(sess *session) {
	if task := sess.memory; task != nil && t.tasks[task.key] == task && task.session != nil {
		t.forget(task)
	}
}

// finish notes how the task of sess ended.
func (t *taskMemory) finish(sess *session, end *messages.ServerMessage) {
	task := sess.memory
	if task == nil || t.tasks[task.key] != task {
		return
	}
	task.session = nil
	task.sessionID, task.since = sess.id, time.Now()
	if size := int64(end.Result.Len() + len(end.Error)); size <= maxRememberedSize && t.size+size <= maxRememberedSum {
		task.end, task.size = end, size
	}
	task.place = t.ended.PushBack(task)
	t.size += task.size
	own := append(t.clients[task.key.client], task)
	t.clients[task.key.client] = own
	if len(own) > maxRemembered {
		t.forget(own[0])
	}
	if t.ended.Len() > maxRememberedAll {
		t.forget(remembered(t.ended.Front()))
	}
}

// again returns the answer to a TASK whose task has ended.
func (task *rememberedTask) again() opened {
	if task.end == nil {
		return opened{refusal: endNotKept}
	}
	return opened{sessionID: task.sessionID, end: task.end}
}

// forget forgets a task; one that runs goes on.
func (t *taskMemory) forget(task *rememberedTask) {
	delete(t.tasks, task.key)
	if task.place == nil {
		return
	}
	t.ended.Remove(task.place)
	t.size -= task.size
	client := task.key.client
	own := t.clients[client]
	at := slices.Index(own, task)
	if own = slices.Delete(own, at, at+1); len(own) == 0 {
		delete(t.clients, client)
		return
	}
	t.clients[client] = own
}

func remembered(at *list.Element) *rememberedTask { return at.Value.(*rememberedTask) }
