package codec

import "github.com/aip-go/aip/messages"

func (e *encoder) clientMessage(m *messages.ClientMessage) bool {
	e.open()
	e.requiredText(`,"type":`, string(m.Type))
	e.requiredText(`,"status":`, string(m.Status))
	role := m.ClientType
	if e.reference {
		role = m.Role()
	}
	e.text(`,"client_type":`, string(role))
	e.text(`,"session_id":`, m.SessionID)
	e.text(`,"task_name":`, m.TaskName)
	e.text(`,"client_id":`, m.ClientID)
	e.text(`,"target_id":`, m.TargetID)
	e.text(`,"request":`, m.Request)
	if m.ActionResults == nil {
		e.unset(`,"action_results":`)
	} else {
		e.key(`,"action_results":`)
		e.dst = append(e.dst, '[')
		for i := range m.ActionResults {
			e.separate()
			e.result(&m.ActionResults[i])
		}
		e.dst = append(e.dst, ']')
	}
	e.text(`,"timestamp":`, m.Timestamp)
	e.text(`,"request_id":`, m.RequestID)
	e.text(`,"prev_response_id":`, m.PrevResponseID)
	e.text(`,"error":`, m.Error)
	e.value(`,"metadata":`, m.Metadata)
	return e.close()
}

func (e *encoder) serverMessage(m *messages.ServerMessage) bool {
	e.open()
	e.requiredText(`,"type":`, string(m.Type))
	e.requiredText(`,"status":`, string(m.Status))
	e.text(`,"user_request":`, m.UserRequest)
	e.text(`,"agent_name":`, m.AgentName)
	e.text(`,"process_name":`, m.ProcessName)
	e.text(`,"root_name":`, m.RootName)
	if m.Actions == nil {
		e.unset(`,"actions":`)
	} else {
		e.key(`,"actions":`)
		e.dst = append(e.dst, '[')
		for i := range m.Actions {
			e.separate()
			e.command(&m.Actions[i])
		}
		e.dst = append(e.dst, ']')
	}
	if m.Messages == nil {
		e.unset(`,"messages":`)
	} else {
		e.key(`,"messages":`)
		e.dst = append(e.dst, '[')
		for _, text := range m.Messages {
			e.separate()
			e.dst = e.layout.AppendString(e.dst, text)
		}
		e.dst = append(e.dst, ']')
	}
	e.text(`,"error":`, m.Error)
	e.text(`,"session_id":`, m.SessionID)
	e.text(`,"task_name":`, m.TaskName)
	e.text(`,"timestamp":`, m.Timestamp)
	e.text(`,"response_id":`, m.ResponseID)
	e.value(`,"result":`, m.Result)
	return e.close()
}

func (e *encoder) command(c *messages.Command) bool {
	e.open()
	e.requiredText(`,"tool_name":`, c.ToolName)
	e.value(`,"parameters":`, c.Parameters)
	e.requiredText(`,"tool_type":`, string(c.ToolType))
	e.text(`,"call_id":`, c.CallID)
	return e.close()
}

func (e *encoder) result(r *messages.Result) bool {
	e.open()
	e.requiredText(`,"status":`, string(r.Status))
	e.text(`,"error":`, r.Error)
	e.value(`,"result":`, r.Result)
	e.text(`,"namespace":`, r.Namespace)
	e.text(`,"call_id":`, r.CallID)
	return e.close()
}
