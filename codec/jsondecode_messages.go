package codec

import "github.com/aip-go/aip/messages"

func (d *decoder) clientMessage(m *messages.ClientMessage) {
	m.ClientType = messages.Device
	hasType, hasStatus := false, false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "type":
			hasType = true
			m.Type = enum[messages.ClientMessageType](d, "type")
		case "status":
			hasStatus = true
			m.Status = enum[messages.TaskStatus](d, "status")
		case "client_type":
			m.ClientType = enum[messages.ClientType](d, "client_type")
		case "session_id":
			m.SessionID = d.text("session_id")
		case "task_name":
			m.TaskName = d.text("task_name")
		case "client_id":
			m.ClientID = d.text("client_id")
		case "target_id":
			m.TargetID = d.text("target_id")
		case "request":
			m.Request = d.text("request")
		case "action_results":
			m.ActionResults = d.results("action_results")
		case "timestamp":
			m.Timestamp = d.text("timestamp")
		case "request_id":
			m.RequestID = d.text("request_id")
		case "prev_response_id":
			m.PrevResponseID = d.text("prev_response_id")
		case "error":
			m.Error = d.text("error")
		case "metadata":
			m.Metadata = d.object("metadata")
		default:
			d.s.Skip()
		}
	}
	d.required(hasType, "type")
	d.required(hasStatus, "status")
}

func (d *decoder) serverMessage(m *messages.ServerMessage) {
	hasType, hasStatus := false, false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "type":
			hasType = true
			m.Type = enum[messages.ServerMessageType](d, "type")
		case "status":
			hasStatus = true
			m.Status = enum[messages.TaskStatus](d, "status")
		case "user_request":
			m.UserRequest = d.text("user_request")
		case "agent_name":
			m.AgentName = d.text("agent_name")
		case "process_name":
			m.ProcessName = d.text("process_name")
		case "root_name":
			m.RootName = d.text("root_name")
		case "actions":
			m.Actions = d.commands("actions")
		case "messages":
			m.Messages = d.texts("messages")
		case "error":
			m.Error = d.text("error")
		case "session_id":
			m.SessionID = d.text("session_id")
		case "task_name":
			m.TaskName = d.text("task_name")
		case "timestamp":
			m.Timestamp = d.text("timestamp")
		case "response_id":
			m.ResponseID = d.text("response_id")
		case "result":
			m.Result = d.value()
		default:
			d.s.Skip()
		}
	}
	d.required(hasType, "type")
	d.required(hasStatus, "status")
}

func (d *decoder) command(c *messages.Command) {
	hasName, hasType := false, false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "tool_name":
			hasName = true
			c.ToolName = d.requiredText("tool_name")
		case "parameters":
			c.Parameters = d.object("parameters")
		case "tool_type":
			hasType = true
			c.ToolType = enum[messages.ToolType](d, "tool_type")
		case "call_id":
			c.CallID = d.text("call_id")
		default:
			d.s.Skip()
		}
	}
	d.required(hasName, "tool_name")
	d.required(hasType, "tool_type")
}

func (d *decoder) result(r *messages.Result) {
	hasStatus := false
	start := len(d.wrong)
	d.begin()
	for d.next(start) {
		switch string(d.s.Key()) {
		case "status":
			hasStatus = true
			r.Status = enum[messages.ResultStatus](d, "status")
		case "error":
			r.Error = d.text("error")
		case "result":
			r.Result = d.value()
		case "namespace":
			r.Namespace = d.text("namespace")
		case "call_id":
			r.CallID = d.text("call_id")
		default:
			d.s.Skip()
		}
	}
	d.required(hasStatus, "status")
}

// commands reads a list of commands, nil if it is null.
func (d *decoder) commands(field string) []messages.Command {
	if !d.list(field) {
		return nil
	}
	list, omitted, out := len(d.wrong), 0, []messages.Command{}
	for i := 0; d.s.NextElement(); i++ {
		start := len(d.wrong)
		var element messages.Command
		if d.isObject() {
			d.command(&element)
		}
		if len(d.wrong) == list { // of a list with something wrong, nothing is kept
			out = extended(d, out, element)
		}
		d.element(list, start, i, &omitted)
	}
	d.endList(list, field, omitted)
	return out
}

// results reads a list of results, nil if it is null.
func (d *decoder) results(field string) []messages.Result {
	if !d.list(field) {
		return nil
	}
	list, omitted, out := len(d.wrong), 0, []messages.Result{}
	for i := 0; d.s.NextElement(); i++ {
		start := len(d.wrong)
		var element messages.Result
		if d.isObject() {
			d.result(&element)
		}
		if len(d.wrong) == list { // of a list with something wrong, nothing is kept
			out = extended(d, out, element)
		}
		d.element(list, start, i, &omitted)
	}
	d.endList(list, field, omitted)
	return out
}

// texts reads a list of strings, nil if it is null.
func (d *decoder) texts(field string) []string {
	if !d.list(field) {
		return nil
	}
	list, omitted, out := len(d.wrong), 0, []string{}
	for i := 0; d.s.NextElement(); i++ {
		start := len(d.wrong)
		text := d.requiredText("")
		if len(d.wrong) == list { // of a list with something wrong, nothing is kept
			out = extended(d, out, text)
		}
		d.element(list, start, i, &omitted)
	}
	d.endList(list, field, omitted)
	return out
}

// extended returns list with one more element, which was just read. Many a list
// has no other, and takes no room for one.
func extended[T any](d *decoder, list []T, element T) []T {
	if cap(list) == 0 {
		room := 1
		if d.s.Kind() == ',' {
			room = 2
		}
		list = make([]T, 0, room)
	}
	return append(list, element)
}
