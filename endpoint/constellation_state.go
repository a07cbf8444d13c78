package endpoint

import (
	"cmp"
	"slices"
	"time"

	"github.com/aip-go/aip/messages"
)

// DeviceState says what there is between a [Constellation] and a device (spec
// section 6.5).
type DeviceState string

// The states of a device, as its constellation sees it.
const (
	// DeviceDisconnected: there is no connection. Unless its link is over, the
	// next attempt to get one will come; see [ReconnectOptions].
	DeviceDisconnected DeviceState = "disconnected"
	// DeviceConnecting: an attempt to connect and register goes on.
	DeviceConnecting DeviceState = "connecting"
	// DeviceConnected: the registration was confirmed, and the device's server
	// is being asked about it. Tasks wait for that.
	DeviceConnected DeviceState = "connected"
	// DeviceIdle: the device is ready and has nothing to do.
	DeviceIdle DeviceState = "idle"
	// DeviceBusy: the server has at least one task for the device, which may be
	// one that nobody waits for any more.
	DeviceBusy DeviceState = "busy"
	// DeviceFailed: the first attempt to connect has failed, or those to replace
	// a connection were given up. Call Connect again.
	DeviceFailed DeviceState = "failed"
)

// nextPhases are the changes that there can be, without tasks: whether an idle
// device is busy follows from those.
var nextPhases = map[DeviceState][]DeviceState{
	DeviceDisconnected: {DeviceConnecting, DeviceFailed},
	DeviceConnecting:   {DeviceConnected, DeviceDisconnected, DeviceFailed},
	DeviceConnected:    {DeviceIdle, DeviceDisconnected},
	DeviceIdle:         {DeviceDisconnected},
	DeviceFailed:       {DeviceConnecting},
}

// DeviceStatus is what a constellation knows of a device at one moment.
type DeviceStatus struct {
	DeviceID string
	// URL is that of its server, without credentials.
	URL string
	// State is the state since Since.
	State DeviceState
	Since time.Time
	// LastHeartbeat is when the server last answered a heartbeat; zero: never.
	LastHeartbeat time.Time
	// Attempts is how many attempts to connect were made since the last
	// connection was lost, or how many this one took.
	Attempts int
	// Tasks are those that the server has, Queued is how many more wait.
	Tasks  []DeviceTask
	Queued int
	// Info is what is known of the device; see [Constellation.Info].
	Info DeviceInfo
	// Err is what ended the last connection, or made the last attempt fail. It is
	// nil while there is a connection, and after an end in good order.
	Err error
}

// DeviceTask is a task that a device's server has.
type DeviceTask struct {
	SessionID, TaskName string
	// Abandoned says that nobody waits for it any more. Until its end comes, or
	// its session is lost, it counts like any other.
	Abandoned bool
}

// member is what a constellation has for a device, from the first Connect to
// Disconnect. It is guarded by the lock of the constellation.
type member struct {
	constellation *Constellation
	id, url       string // url has no credentials
	link          *link  // nil: none, or it is over

	phase     DeviceState // idle also if the device is busy
	state     DeviceState // as it was last observed
	since     time.Time
	heartbeat time.Time
	attempts  int
	err       error
	info      DeviceInfo

	connection int  // number of the last registration
	session    int  // number of the last one that resumed no session
	settled    bool // whatever is to be asked about the device in that session, was

	queue    []*queuedTask
	running  []*queuedTask
	starting bool // the last one of them is not accepted yet
}

// enter changes the phase, if it can change that way, and observes that. The
// constellation is locked.
func (m *member) enter(phase DeviceState, cause error) {
	m.change(phase, cause)
	m.show()
}

// change changes the phase, if it can change that way. The constellation is
// locked.
func (m *member) change(phase DeviceState, cause error) {
	switch {
	case slices.Contains(nextPhases[m.phase], phase):
		m.phase, m.err = phase, cause
	case phase == m.phase && cause != nil:
		m.err = cause
	}
}

// show observes the state if it has changed. The constellation is locked.
func (m *member) show() {
	state := m.phase
	if state == DeviceIdle && len(m.running) > 0 {
		state = DeviceBusy
	}
	if state == m.state {
		return
	}
	from := m.state
	m.state, m.since = state, time.Now()
	m.note(Event{Kind: EventDeviceState, From: from, To: state, Err: m.err})
}

// note observes an event about the device. The constellation is locked.
func (m *member) note(e Event) {
	c := m.constellation
	e.ClientID, e.Role = messages.ConstellationClientID(c.options.Name, m.id), messages.Constellation
	e.DeviceID = m.id
	c.note(e)
}

// status returns the status. The constellation is locked.
func (m *member) status() DeviceStatus {
	s := DeviceStatus{
		DeviceID: m.id, URL: m.url, State: m.state, Since: m.since, LastHeartbeat: m.heartbeat,
		Attempts: m.attempts, Queued: len(m.queue), Info: m.info.clone(), Err: m.err,
	}
	for _, q := range m.running {
		s.Tasks = append(s.Tasks, DeviceTask{SessionID: q.message.SessionID, TaskName: q.message.TaskName, Abandoned: q.over})
	}
	return s
}

// Status returns what is known of a device, and whether anything is: that is
// so from the first Connect for it until Disconnect.
func (c *Constellation) Status(deviceID string) (DeviceStatus, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[deviceID]
	if m == nil {
		return DeviceStatus{}, false
	}
	return m.status(), true
}

// Statuses returns what is known of all devices at one moment, sorted by id.
func (c *Constellation) Statuses() []DeviceStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]DeviceStatus, 0, len(c.members))
	for _, m := range c.members {
		all = append(all, m.status())
	}
	slices.SortFunc(all, func(a, b DeviceStatus) int { return cmp.Compare(a.DeviceID, b.DeviceID) })
	return all
}

// note keeps an event until tell. The constellation is locked.
func (c *Constellation) note(e Event) {
	if c.options.Observer == nil {
		return
	}
	e.Time = time.Now()
	c.events = append(c.events, e)
}

// tell hands the observer what was noted, in that order.
func (c *Constellation) tell() {
	if c.options.Observer == nil {
		return
	}
	c.telling.Lock()
	defer c.telling.Unlock()
	for {
		c.mu.Lock()
		events := c.events
		c.events = nil
		c.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			c.options.Observer(e)
		}
	}
}
