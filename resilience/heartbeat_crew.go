package resilience

import "sync"

// crew runs tasks by a bounded number of goroutines, which exist only while
// there are tasks. Its queue is bounded by its users: a peer has one heartbeat
// and one abort in it at most. most must be positive.
type crew struct {
	most int
	wait sync.WaitGroup // for the goroutines

	mu      sync.Mutex
	working int
	urgent  []func() // run before the others
	tasks   []func()
}

// do has the task run, soon.
func (c *crew) do(task func(), urgent bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if urgent {
		c.urgent = append(c.urgent, task)
	} else {
		c.tasks = append(c.tasks, task)
	}
	if c.working < c.most {
		c.working++
		c.wait.Go(c.work)
	}
}

// work runs tasks until there are none.
func (c *crew) work() {
	for task := c.take(); task != nil; task = c.take() {
		task()
	}
}

// take returns the next task. If there is none it returns nil, and the
// goroutine counts no more.
func (c *crew) take() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, queue := range []*[]func(){&c.urgent, &c.tasks} {
		if len(*queue) > 0 {
			task := (*queue)[0]
			(*queue)[0] = nil
			*queue = (*queue)[1:]
			return task
		}
	}
	c.working--
	c.urgent, c.tasks = nil, nil
	return nil
}
