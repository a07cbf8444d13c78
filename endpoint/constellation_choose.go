package endpoint

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// Find returns the devices that have all of these capabilities (see
// [DeviceInfo.Capabilities]; case matters), among those with a registered
// connection: first those that are idle, then those with the fewest tasks.
// Without capabilities it returns all of them.
func (c *Constellation) Find(capabilities ...string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, m := range c.ranked(func(m *member) bool { return m.info.has(capabilities) }) {
		ids = append(ids, m.id)
	}
	return ids
}

// Choose returns the first device, in the order of Find, that suits the caller,
// and whether there is one. suits may be called for several devices, and may
// call the constellation.
func (c *Constellation) Choose(suits func(DeviceStatus) bool) (deviceID string, ok bool) {
	c.mu.Lock()
	var all []DeviceStatus
	for _, m := range c.ranked(func(*member) bool { return true }) {
		all = append(all, m.status())
	}
	c.mu.Unlock()
	for _, s := range all {
		if suits(s) {
			return s.DeviceID, true
		}
	}
	return "", false
}

// ranked returns the members with a registered connection that suit, the most
// suitable first. The constellation is locked.
func (c *Constellation) ranked(suits func(*member) bool) []*member {
	var found []*member
	for _, m := range c.members {
		if m.link != nil && m.link.registered() && (m.phase == DeviceConnected || m.phase == DeviceIdle) && suits(m) {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b *member) int {
		return cmp.Or(cmp.Compare(a.load(), b.load()), cmp.Compare(a.id, b.id))
	})
	return found
}

// load is less the sooner a task of the device would start. The constellation is
// locked.
func (m *member) load() int {
	if m.state == DeviceIdle {
		return -1
	}
	return len(m.running) + len(m.queue)
}

// RunAny does what Run does, on the device that is first in the order of Find
// when it is called; the result, and the error, say which. Without one it fails
// at once with [ErrNoDevice].
func (c *Constellation) RunAny(ctx context.Context, r TaskRequest, capabilities ...string) (*TaskResult, error) {
	q, err := c.submitAny(ctx, r, capabilities)
	if err != nil {
		return nil, err
	}
	return q.wait()
}

func (c *Constellation) submitAny(ctx context.Context, r TaskRequest, capabilities []string) (*queuedTask, error) {
	return c.submit(ctx, func() (*member, error) {
		if c.closed {
			return nil, ErrClosed
		}
		found := c.ranked(func(m *member) bool { return m.info.has(capabilities) })
		if len(found) == 0 {
			return nil, ErrNoDevice
		}
		return found[0], nil
	}, "", r)
}

// defaultAssignments is how many assignments are handed out at a time.
const defaultAssignments = 16

// Assignment is a task for a device.
type Assignment struct {
	// DeviceID is the device; "" means any with the Capabilities, as
	// [Constellation.RunAny] chooses it when it is the task's turn.
	DeviceID     string
	Capabilities []string
	Task         TaskRequest
}

// AssignmentResult is what became of an [Assignment]: what Run returns.
type AssignmentResult struct {
	Result *TaskResult
	Err    error
}

// RunAll runs several tasks and returns what became of each, in the order of
// the assignments, when the last one has ended. At most limit of them are queued
// or running at a time; zero means 16, negative means no bound. They are queued
// in their order, so that those of one device start in it. The failure of one
// does not concern the others. When ctx ends, those that were not queued fail
// with its error, and the others as those of Run do.
func (c *Constellation) RunAll(ctx context.Context, assignments []Assignment, limit int) []AssignmentResult {
	results := make([]AssignmentResult, len(assignments))
	free := make(chan struct{}, min(limitOr(limit, defaultAssignments), len(assignments)))
	var waiting sync.WaitGroup
	for i, a := range assignments {
		select {
		case free <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			results[i].Err = &TaskError{DeviceID: a.DeviceID, Kind: context.Cause(ctx)}
			continue
		}
		q, err := c.assign(ctx, a)
		if err != nil {
			results[i].Err = err
			<-free
			continue
		}
		waiting.Go(func() {
			results[i].Result, results[i].Err = q.wait()
			<-free
		})
	}
	waiting.Wait()
	return results
}

func (c *Constellation) assign(ctx context.Context, a Assignment) (*queuedTask, error) {
	if a.DeviceID == "" {
		return c.submitAny(ctx, a.Task, a.Capabilities)
	}
	return c.submit(ctx, func() (*member, error) { return c.ready(a.DeviceID) }, a.DeviceID, a.Task)
}
