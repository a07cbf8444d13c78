package transport

import "sync"

// CloseNotifier calls back at the end of a connection, so that nobody needs a
// goroutine to wait for it.
type CloseNotifier interface {
	// AfterClosed has f called, in a goroutine of its own, as soon as WaitClosed
	// does not wait any more: at once when there is no connection. The returned
	// function takes that back; it reports false if it is too late for that, or
	// was done before.
	AfterClosed(f func()) (stop func() bool)
}

// CloseNotices is what a transport needs to be a [CloseNotifier]: the functions
// that wait for the end of one connection. The zero value is ready. All methods
// may be called concurrently.
type CloseNotices struct {
	mu      sync.Mutex
	over    bool
	waiting []*func()
}

// AfterClosed has f called by Notify, or at once after that; see
// [CloseNotifier].
func (n *CloseNotices) AfterClosed(f func()) (stop func() bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		go f()
		return func() bool { return false }
	}
	n.waiting = append(n.waiting, &f)
	return func() bool { return n.remove(&f) }
}

func (n *CloseNotices) remove(f *func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, waiting := range n.waiting {
		if waiting == f {
			n.waiting = append(n.waiting[:i], n.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// Notify calls the functions, each in a goroutine of its own. It is to be called
// when WaitClosed does not wait any more.
func (n *CloseNotices) Notify() {
	n.mu.Lock()
	waiting := n.waiting
	n.over, n.waiting = true, nil
	n.mu.Unlock()
	for _, f := range waiting {
		go (*f)()
	}
}
