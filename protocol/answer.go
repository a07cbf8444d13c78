package protocol

import (
	"context"

	"github.com/aip-go/aip/messages"
)

// SendError tells the peer that something went wrong. text is for people; keep
// it short and free of what others sent. to is the message that is refused,
// nil if there is none: its session and its id go into the error, so that the
// peer knows what it is about. An error is never answered with an error: if to
// is one, nothing is sent and the error is [ErrErrorReply].
func (p *AIPProtocol[Out, In]) SendError(ctx context.Context, text string, to *In) error {
	var session, id string
	if to != nil {
		if isError(to) {
			return ErrErrorReply
		}
		switch m := any(to).(type) {
		case *messages.ClientMessage:
			session, id = m.SessionID, m.RequestID
		case *messages.ServerMessage:
			session, id = m.SessionID, m.ResponseID
		}
	}
	return p.sendError(ctx, text, session, id)
}

// AnswerInvalid answers something that was received and is no valid message
// with an error message: the short code of [MessageError.Code], and the session
// and id as far as they could be read. If what was received is an error itself,
// nothing is sent and the error is [ErrErrorReply].
func (p *AIPProtocol[Out, In]) AnswerInvalid(ctx context.Context, e *MessageError) error {
	if e.Type == errorType {
		return ErrErrorReply
	}
	return p.sendError(ctx, e.Code(), e.SessionID, e.ID)
}

func (p *AIPProtocol[Out, In]) sendError(ctx context.Context, text, session, id string) error {
	out := new(Out)
	switch m := any(out).(type) {
	case *messages.ServerMessage:
		*m = *messages.NewServerError(text)
		m.SessionID = session
		if id != "" {
			m.ResponseID = id
		}
	case *messages.ClientMessage:
		who, _ := p.Identity()
		*m = *messages.NewClientError(who.ClientType, who.ClientID, text)
		m.SessionID, m.PrevResponseID = session, id
	}
	return p.Send(ctx, out)
}

// SendAck sends a heartbeat with the status ok, by which AIP acknowledges: with
// a session_id the task of that session, without one a heartbeat or, from a
// server, a registration.
func (p *AIPProtocol[Out, In]) SendAck(ctx context.Context, sessionID string) error {
	out := new(Out)
	switch m := any(out).(type) {
	case *messages.ServerMessage:
		*m = *messages.NewTaskAck(sessionID)
	case *messages.ClientMessage:
		who, _ := p.Identity()
		*m = *newHeartbeat(who)
		m.SessionID = sessionID
	}
	return p.Send(ctx, out)
}
