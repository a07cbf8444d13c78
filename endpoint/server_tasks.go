package endpoint

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// handleTask takes a task on, or refuses it, or answers it as before.
func (c *client) handleTask(ctx context.Context, m *messages.ClientMessage) error {
	if err := checkTask(m); err != nil {
		return c.refuseFor(ctx, m, invalidID, err)
	}
	if err := c.authorizeTask(ctx, m); err != nil {
		return c.refuseFor(ctx, m, notAuthorized, err)
	}
	taken := c.server.open(ctx, c, m)
	return c.answerTask(ctx, m, taken)
}

// answerTask tells the client what became of its task m, and starts the task if
// it is new.
func (c *client) answerTask(ctx context.Context, m *messages.ClientMessage, taken opened) error {
	s := c.server
	ack := func(ctx context.Context) error { return c.proto.SendAck(ctx, taken.sessionID) }
	switch {
	case taken.refusal != "":
		return c.refuse(ctx, m, taken.refusal)
	case taken.fresh == nil:
		// The client asks again for what runs already or has ended, perhaps
		// because it missed the first answer.
		if err := c.bounded(kept(ctx), ack); err != nil || taken.end == nil {
			return err
		}
		return c.bounded(kept(ctx), func(ctx context.Context) error { return c.proto.Send(ctx, taken.end) })
	}
	sess := taken.fresh
	if err := c.bounded(kept(ctx), ack); err != nil {
		sess.cancel(ErrRequesterLost)
	} else {
		s.events.observe(c.event(Event{
			Kind: EventTaskAccepted, DeviceID: sess.executor.info.ID, SessionID: sess.id, TaskName: sess.taskName,
		}))
	}
	go s.run(sess, newTask(sess, m.Metadata))
	return nil
}

// opened is what became of a TASK: it is refused in the words for the client,
// or it has a session.
type opened struct {
	refusal   string
	sessionID string
	// fresh is the session if it is new; who gets it has to run it: it is
	// counted in the server's work.
	fresh *session
	// end is how the task ended, if it was done before.
	end *messages.ServerMessage
}

func refused(format string, args ...any) opened {
	return opened{refusal: fmt.Sprintf(format, args...)}
}

// open makes the session of a task, or finds the one there is.
func (s *Server) open(ctx context.Context, c *client, m *messages.ClientMessage) opened {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		id := m.SessionID
		if before := s.memory.find(c, m); before != nil && s.online[c.info.ID] == c {
			if before.session == nil {
				return before.again()
			}
			id = before.session.id
		}
		executor, text := s.executor(c, m)
		if text != "" {
			return opened{refusal: text}
		}
		old := s.sessions[id]
		switch {
		case old == nil:
			return s.start(c, executor, m)
		case old.requester.info.ID != c.info.ID:
			return refused("session_id '%s' is owned by another client", id)
		case old.requester != c || old.ending:
			// It ends, here or because the client's last connection has.
		case old.executor != executor:
			return refused("session_id '%s' is in use for another device", id)
		default:
			return opened{sessionID: id}
		}
		s.mu.Unlock()
		select {
		case <-old.told:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if ctx.Err() != nil {
			return opened{refusal: shuttingDown}
		}
	}
}

// executor returns the device that is to run the task m of c, or says why
// there is none. The server is locked.
func (s *Server) executor(c *client, m *messages.ClientMessage) (device *client, text string) {
	if s.online[c.info.ID] != c {
		return nil, "Connection is not registered; refusing privileged message"
	}
	if c.info.Role == messages.Device {
		if m.TargetID != "" && m.TargetID != c.info.ID {
			return nil, "Device clients may not target other devices"
		}
		return c, ""
	}
	if m.TargetID == "" {
		return nil, "Constellation task requests require target_id"
	}
	if c.info.Target != "" && m.TargetID != c.info.Target {
		return nil, "Not authorized to give tasks to this device"
	}
	device = s.online[m.TargetID]
	if device == nil {
		return nil, notConnected(m.TargetID)
	}
	if device.info.Role != messages.Device {
		return nil, "Constellation tasks may only target device clients"
	}
	return device, ""
}

// start makes a session. The server is locked.
func (s *Server) start(c, executor *client, m *messages.ClientMessage) opened {
	if s.draining {
		return opened{refusal: shuttingDown}
	}
	if c.asked >= s.options.MaxTasks {
		return refused("too many running tasks; at most %d are taken", s.options.MaxTasks)
	}
	sess := &session{
		id:         m.SessionID,
		taskName:   SafeTaskName(m.TaskName),
		request:    m.Request,
		requester:  c,
		executor:   executor,
		commanding: make(chan struct{}, 1),
		told:       make(chan struct{}),
		limit:      s.options.MaxMessageSize,
	}
	if sess.id == "" {
		sess.id = messages.NewID()
	}
	if m.RequestID != "" {
		content := hashTask(m)
		seed := []string{c.info.ID, sess.id, m.RequestID, string(content[:])}
		if c.principal != nil { // Another one's results are not this one's.
			seed = append(seed, c.principal.Name)
		}
		sess.commandSeed = hashParts(seed...)
	}
	sess.ctx, sess.cancel = context.WithCancelCause(s.lifetime)
	s.sessions[sess.id] = sess
	c.sessions[sess] = struct{}{}
	executor.sessions[sess] = struct{}{}
	c.asked++
	s.unended++
	c.unended++
	executor.unended++
	s.work.Add(1)
	s.memory.begin(c, m, sess)
	return opened{sessionID: sess.id, fresh: sess}
}

// free makes the session's id free again. If its end is not remembered, its
// requester may have it run again.
func (s *Server) free(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.abandon(sess)
	delete(s.sessions, sess.id)
	delete(sess.requester.sessions, sess)
	delete(sess.executor.sessions, sess)
	sess.requester.asked--
	close(sess.told)
}

// requested reports whether c has asked for the running task of that session,
// and is still to be told its end.
func (s *Server) requested(c *client, sessionID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.sessions[sessionID]
	return sess != nil && sess.requester == c && !sess.answered
}
