package codec

import "github.com/aip-go/aip/messages"

func (e *encoder) clientMessage(dst []byte, m *messages.ClientMessage) []byte {
	dst = e.requiredText(dst, `{"type":`, string(m.Type))
	dst = e.requiredText(dst, `,"status":`, string(m.Status))
	role := m.ClientType
	if e.reference {
		role = m.Role()
	}
	dst = e.text(dst, `,"client_type":`, string(role))
	dst = e.text(dst, `,"session_id":`, m.SessionID)
	dst = e.text(dst, `,"task_name":`, m.TaskName)
	dst = e.text(dst, `,"client_id":`, m.ClientID)
	dst = e.text(dst, `,"target_id":`, m.TargetID)
	dst = e.text(dst, `,"request":`, m.Request)
	if m.ActionResults == nil {
		dst = e.unset(dst, `,"action_results":`)
	} else {
		dst = e.key(dst, `,"action_results":`)
		dst = append(dst, '[')
		for i := range m.ActionResults {
			dst = comma(dst, i)
			dst = e.result(dst, &m.ActionResults[i])
		}
		dst = append(dst, ']')
	}
	dst = e.text(dst, `,"timestamp":`, m.Timestamp)
	dst = e.text(dst, `,"request_id":`, m.RequestID)
	dst = e.text(dst, `,"prev_response_id":`, m.PrevResponseID)
	dst = e.text(dst, `,"error":`, m.Error)
	dst = e.value(dst, `,"metadata":`, m.Metadata)
	return append(dst, '}')
}

func (e *encoder) serverMessage(dst []byte, m *messages.ServerMessage) []byte {
	dst = e.requiredText(dst, `{"type":`, string(m.Type))
	dst = e.requiredText(dst, `,"status":`, string(m.Status))
	dst = e.text(dst, `,"user_request":`, m.UserRequest)
	dst = e.text(dst, `,"agent_name":`, m.AgentName)
	dst = e.text(dst, `,"process_name":`, m.ProcessName)
	dst = e.text(dst, `,"root_name":`, m.RootName)
	if m.Actions == nil {
		dst = e.unset(dst, `,"actions":`)
	} else {
		dst = e.key(dst, `,"actions":`)
		dst = append(dst, '[')
		for i := range m.Actions {
			dst = comma(dst, i)
			dst = e.command(dst, &m.Actions[i])
		}
		dst = append(dst, ']')
	}
	if m.Messages == nil {
		dst = e.unset(dst, `,"messages":`)
	} else {
		dst = e.key(dst, `,"messages":`)
		dst = append(dst, '[')
		for i, text := range m.Messages {
			dst = comma(dst, i)
			dst = e.layout.AppendString(dst, text)
		}
		dst = append(dst, ']')
	}
	dst = e.text(dst, `,"error":`, m.Error)
	dst = e.text(dst, `,"session_id":`, m.SessionID)
	dst = e.text(dst, `,"task_name":`, m.TaskName)
	dst = e.text(dst, `,"timestamp":`, m.Timestamp)
	dst = e.text(dst, `,"response_id":`, m.ResponseID)
	dst = e.value(dst, `,"result":`, m.Result)
	return append(dst, '}')
}

func (e *encoder) command(dst []byte, c *messages.Command) []byte {
	dst = e.requiredText(dst, `{"tool_name":`, c.ToolName)
	dst = e.value(dst, `,"parameters":`, c.Parameters)
	dst = e.requiredText(dst, `,"tool_type":`, string(c.ToolType))
	dst = e.text(dst, `,"call_id":`, c.CallID)
	return append(dst, '}')
}

func (e *encoder) result(dst []byte, r *messages.Result) []byte {
	dst = e.requiredText(dst, `{"status":`, string(r.Status))
	dst = e.text(dst, `,"error":`, r.Error)
	dst = e.value(dst, `,"result":`, r.Result)
	dst = e.text(dst, `,"namespace":`, r.Namespace)
	dst = e.text(dst, `,"call_id":`, r.CallID)
	return append(dst, '}')
}
