package faults

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
	"github.com/aip-go/aip/resilience"
)

// moment is when a line is struck, and for how long.
type moment string

const (
	heals    moment = "heals"    // in mid-action, and back before the grace is over
	outlasts moment = "outlasts" // in mid-action, and longer than the grace
	torn     moment = "torn"     // in the middle of the message that ends the struck part's share
)

// status is what everyone is told of a task.
type status struct {
	// run is what the constellation's Run returns, to be matched: one of these;
	// none: a result.
	run []error
	// handler is what the task handler's command failed with: one of these; none:
	// the handler returned a result.
	handler []error
	// server is how the task ended there.
	server messages.TaskStatus
	// device is how the device is told that it ended; "": not at all. maybe:
	// it depends on who notices first whether it is told at all.
	device messages.TaskStatus
	maybe  bool
	// acts is how many actions the device did or began, cut how many of those
	// were cut off.
	acts, cut int
}

var (
	completed     = status{server: messages.StatusCompleted, device: messages.StatusCompleted, acts: 2}
	taskFailed    = []error{endpoint.ErrTaskFailed}
	taskLost      = []error{endpoint.ErrTaskLost}
	failedOrLost  = []error{endpoint.ErrTaskFailed, endpoint.ErrTaskLost}
	deviceLost    = []error{endpoint.ErrDeviceLost}
	requesterLost = []error{endpoint.ErrRequesterLost}
	eitherLost    = []error{endpoint.ErrDeviceLost, endpoint.ErrRequesterLost}
)

const (
	ok     = messages.StatusCompleted
	failed = messages.StatusFailed
)

// row is the right status of a task.
type row struct {
	when     moment
	settings []setting
	hit      side
	status
	why string
}

// table is the right status in each case: what docs/endpoints.md and
// docs/resilience.md ("Endpoints") say, which without sessions is what AIP has
// (spec sections 3.3, 3.6 and 3.9), but for a device whose requester is lost: it
// is told, so that it does not go on for nobody.
var table = []row{
	{heals, []setting{resumed}, deviceLine, completed,
		"tasks and tools go on; commands and results wait for the next connection"},
	{heals, []setting{resumed}, constellationLine, completed,
		"its tasks go on; their ends wait for the next connection"},
	{heals, []setting{resumed}, bothLines, completed,
		"each has its own session"},

	{heals, []setting{replaced, single}, deviceLine, status{
		run: taskFailed, handler: deviceLost, server: failed, acts: 1, cut: 1},
		"the task fails at once, for everyone; the device ends its tools, and is not told: it is gone"},
	{heals, []setting{replaced, single}, constellationLine, status{
		run: taskLost, handler: requesterLost, server: failed, device: failed, acts: 1, cut: 1},
		"its tasks are cancelled; Run cannot know how far they came"},
	{heals, []setting{replaced, single}, bothLines, status{
		run: taskLost, handler: eitherLost, server: failed, device: failed, maybe: true, acts: 1, cut: 1},
		"nobody can tell the constellation anything; whom the server misses first is the reason"},

	{outlasts, []setting{resumed}, deviceLine, status{
		run: taskFailed, handler: deviceLost, server: failed, acts: 1},
		"when nobody comes back in time it is as without a session, but the tool goes on: its result is kept for a server that asks again"},
	{outlasts, []setting{resumed}, constellationLine, status{
		run: taskLost, handler: requesterLost, server: failed, device: failed, acts: 1, cut: 1},
		"both sides give the session up by their own clocks; the device ends what nobody waits for"},
	{outlasts, []setting{resumed}, bothLines, status{
		run: taskLost, handler: eitherLost, server: failed, acts: 1},
		"as above; what the server says to the device goes down with the session"},

	{torn, []setting{resumed}, deviceLine, completed,
		"the server takes no half of a message; the results are sent again, not made again"},
	{torn, []setting{resumed}, constellationLine, completed,
		"the end is sent again"},
	{torn, []setting{resumed}, bothLines, completed,
		"first the results are sent again, then the end"},
	{torn, []setting{replaced, single}, deviceLine, status{
		run: taskFailed, handler: deviceLost, server: failed, acts: 1},
		"the action is done, but the server cannot know"},
	{torn, []setting{replaced, single}, constellationLine, status{
		run: taskLost, server: ok, device: ok, acts: 2},
		"the task is done, but the constellation cannot know"},
	{torn, []setting{replaced, single}, bothLines, status{
		run: taskLost, handler: eitherLost, server: failed, acts: 1},
		"the results are torn, and so is the end that says that the device is lost"},
}

// right returns the row of the table.
func right(t *testing.T, when moment, set setting, hit side) row {
	t.Helper()
	for _, r := range table {
		if r.when == when && r.hit == hit && slices.Contains(r.settings, set) {
			return r
		}
	}
	t.Fatalf("nobody has thought of %s/%s/%s", when, set, hit)
	panic("unreachable")
}

// check checks, when everything has been closed, what was told of a task, and
// that it was told once. result is what Run returned.
func (w *world) check(task string, want status, got outcome) {
	w.t.Helper()
	wrong := func(format string, args ...any) {
		w.t.Helper()
		w.t.Errorf("task %s: "+format, append([]any{task}, args...)...)
	}
	// The one who asked.
	var failure *endpoint.TaskError
	switch {
	case len(want.run) == 0 && got.err != nil:
		wrong("Run returned %v", got.err)
	case len(want.run) == 0 && got.result.Result.String() != w.tool.want(task):
		wrong("Run returned a result of %d bytes, want %d", got.result.Result.Len(), len(w.tool.want(task)))
	case len(want.run) > 0 && (!matches(got.err, want.run) || !errors.As(got.err, &failure) || failure.SessionID != session(task)):
		wrong("Run returned %v, want %v", got.err, want.run)
	}
	runEnd := failed
	if len(want.run) == 0 {
		runEnd = ok
	}
	if got := ends(w.constellation.events, task); !slices.Equal(got, []messages.TaskStatus{runEnd}) {
		wrong("the constellation observed the ends %v, want one %v", got, runEnd)
	}

	// The server.
	accepted := 0
	for _, e := range w.seen.of(endpoint.EventTaskAccepted, "") {
		if e.SessionID == session(task) {
			accepted++
		}
	}
	if got := ends(w.seen, task); accepted != 1 || !slices.Equal(got, []messages.TaskStatus{want.server}) {
		wrong("the server accepted it %d times and observed the ends %v, want one %v", accepted, got, want.server)
	}
	known, found := w.server.TaskResult(task)
	if !found || known.Running || known.Status != want.server || known.SessionID != session(task) || (known.Error == "") != (want.server == ok) {
		wrong("the server knows %+v, %v, want %v", known, found, want.server)
	}

	// The device.
	told := ends(w.device.events, task)
	if want.device == "" && len(told) > 0 || len(told) > 1 || len(told) == 1 && told[0] != want.device ||
		len(told) == 0 && want.device != "" && !want.maybe {
		wrong("the device was told the ends %v, want %q", told, want.device)
	}
	acts, twice, cut := w.tool.count(task)
	if acts != want.acts || twice > 0 || cut != want.cut {
		wrong("the device did %d actions, %d of them again, and cut off %d; want %d, none, and %d", acts, twice, cut, want.acts, want.cut)
	}
}

// checkHandled checks what the handler has returned, in the order of the tasks.
func (w *world) checkHandled(want ...status) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.handled) != len(want) {
		w.t.Errorf("the handler returned %d times, want %d: %v", len(w.handled), len(want), w.handled)
		return
	}
	for i, err := range w.handled {
		if err == nil && len(want[i].handler) == 0 || matches(err, want[i].handler) {
			continue
		}
		w.t.Errorf("the handler of task %d returned %v, want one of %v", i+1, err, want[i].handler)
	}
}

// checkConnections checks that what was struck came back as the setting says,
// and what was not struck stayed.
func (w *world) checkConnections(when moment) {
	w.t.Helper()
	for _, p := range []*party{w.device, w.constellation} {
		again := p.events.of(endpoint.EventRegistered, "")[1:]
		switch {
		case !w.plan.hit.hits(p.name):
			if len(again) > 0 {
				w.t.Errorf("the %s, which was not struck, registered again", p.name)
			}
		case len(again) == 0:
			w.t.Errorf("the %s did not register again", p.name)
		case w.plan.setting == resumed && when != outlasts:
			if slices.ContainsFunc(again, func(e endpoint.Event) bool { return !e.Resumed }) {
				w.t.Errorf("the session of the %s was lost", p.name)
			}
		default:
			if slices.ContainsFunc(again, func(e endpoint.Event) bool { return e.Resumed }) {
				w.t.Errorf("the session of the %s was resumed", p.name)
			}
		}
	}
}

// matches reports whether err is one of those.
func matches(err error, those []error) bool {
	return slices.ContainsFunc(those, func(e error) bool { return errors.Is(err, e) })
}

// ends returns the ends of a task that were observed.
func ends(r *recorder, task string) []messages.TaskStatus {
	var list []messages.TaskStatus
	for _, e := range r.of(endpoint.EventTaskEnded, "") {
		if e.SessionID == session(task) {
			list = append(list, e.Status)
		}
	}
	return list
}

// show logs what was observed, if the test has failed.
func (w *world) show() {
	if w.t.Failed() {
		w.t.Log(fmt.Sprint("\n", w))
	}
}

// gaveUp reports whether err says that no further attempt was allowed.
func gaveUp(err error) bool {
	var retry *resilience.RetryError
	return errors.As(err, &retry) && errors.Is(err, resilience.ErrGaveUp)
}
