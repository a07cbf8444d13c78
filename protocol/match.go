package protocol

import "github.com/aip-go/aip/messages"

// Match says which incoming message answers a call. Make one with the Match
// functions. An error message answers a call as well, as a [*RemoteError], if
// it carries the session or the id that the call is about.
type Match[In Message] struct {
	key     matchKey
	accepts func(*In) bool // instead of a key
	// session and id are those an error message would carry.
	session, id string
	// soleError: an error message that names nothing concerns this call, if no
	// other call of the kind waits.
	soleError bool
	// keep: remember the key when the call is over, to drop late replies.
	keep bool
}

// matchKey is what a reply and its call have in common.
type matchKey struct {
	field   matchField
	id      string
	session string // of results; their id alone is not enough
}

type matchField uint8

const (
	byNothing matchField = iota
	byDeviceInfo
	byTaskAck
	byTaskEnd
	byHeartbeat
	byResults
	byTaskName
)

// MatchFunc matches the next message that accepts says yes to. It runs in the
// goroutine that reads, so it must not wait. Replies that come too late cannot
// be told from other messages, and go to the handlers.
func MatchFunc[In Message](accepts func(*In) bool) Match[In] {
	return Match[In]{accepts: accepts}
}

// MatchDeviceInfo matches the device_info_response to the request requestID.
func MatchDeviceInfo(requestID string) Match[messages.ServerMessage] {
	return Match[messages.ServerMessage]{
		key: matchKey{field: byDeviceInfo, id: requestID}, id: requestID, soleError: true, keep: true,
	}
}

// MatchTaskAck matches the acknowledgement of the task of sessionID: a
// heartbeat with that session.
func MatchTaskAck(sessionID string) Match[messages.ServerMessage] {
	return Match[messages.ServerMessage]{
		key: matchKey{field: byTaskAck, id: sessionID}, session: sessionID, soleError: true, keep: true,
	}
}

// MatchTaskEnd matches the task_end of sessionID.
func MatchTaskEnd(sessionID string) Match[messages.ServerMessage] {
	return Match[messages.ServerMessage]{
		key: matchKey{field: byTaskEnd, id: sessionID}, session: sessionID, keep: true,
	}
}

// MatchHeartbeat matches the next reply to a heartbeat: one without a session.
// Heartbeats carry no ids, so a late reply to one answers the next.
func MatchHeartbeat() Match[messages.ServerMessage] {
	return Match[messages.ServerMessage]{key: matchKey{field: byHeartbeat}}
}

// MatchCommandResults matches the command_results for command, by its
// response_id and its session.
func MatchCommandResults(command *messages.ServerMessage) Match[messages.ClientMessage] {
	return Match[messages.ClientMessage]{
		key:     matchKey{field: byResults, id: command.ResponseID, session: command.SessionID},
		session: command.SessionID, id: command.ResponseID, keep: true,
	}
}

// MatchTask matches the task message by which a device takes on the task
// dispatch, by its task_name.
func MatchTask(dispatch *messages.ServerMessage) Match[messages.ClientMessage] {
	return Match[messages.ClientMessage]{
		key: matchKey{field: byTaskName, id: dispatch.TaskName}, session: dispatch.SessionID, id: dispatch.ResponseID,
	}
}

// keyOf returns the key of the calls that m can answer.
func keyOf[In Message](m *In) (matchKey, bool) {
	switch m := any(m).(type) {
	case *messages.ServerMessage:
		switch m.Type {
		case messages.ServerHeartbeat:
			if m.SessionID == "" {
				return matchKey{field: byHeartbeat}, true
			}
			return matchKey{field: byTaskAck, id: m.SessionID}, true
		case messages.ServerTaskEnd:
			return matchKey{field: byTaskEnd, id: m.SessionID}, true
		case messages.ServerDeviceInfoResponse:
			return matchKey{field: byDeviceInfo, id: m.ResponseID}, true
		}
	case *messages.ClientMessage:
		switch m.Type {
		case messages.ClientCommandResults:
			return matchKey{field: byResults, id: m.PrevResponseID, session: m.SessionID}, true
		case messages.ClientTask:
			return matchKey{field: byTaskName, id: m.TaskName}, true
		}
	}
	return matchKey{}, false
}

// remoteError returns what an error message says, and the ids by which the
// call that it concerns may be known.
func remoteError[In Message](m *In) (e *RemoteError, ids [2]string) {
	switch m := any(m).(type) {
	case *messages.ServerMessage:
		return &RemoteError{Message: m.Error, SessionID: m.SessionID, ID: m.ResponseID}, [2]string{m.ResponseID}
	case *messages.ClientMessage:
		return &RemoteError{Message: m.Error, SessionID: m.SessionID, ID: m.RequestID}, [2]string{m.PrevResponseID, m.RequestID}
	default:
		return &RemoteError{}, ids
	}
}
