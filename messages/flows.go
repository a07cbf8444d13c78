package messages

// The functions of this file check a message for what its flow needs, beyond
// what Validate checks. They return nil or a *[ValidationError] with every
// wrong field, those of Validate included. A server that has pinned a client's
// identity to its connection fills in client_id before it calls them: clients
// may leave it out after the registration.

// ValidateClientMessage checks m as the function for its type does; a type
// that has none needs nothing beyond its model.
func ValidateClientMessage(m *ClientMessage) error {
	if m == nil {
		return m.Validate()
	}
	switch m.Type {
	case ClientRegister:
		return ValidateRegistration(m)
	case ClientTask:
		return ValidateTaskRequest(m)
	case ClientCommandResults:
		return ValidateCommandResults(m)
	case ClientDeviceInfoRequest:
		return ValidateDeviceInfoRequest(m)
	default:
		return m.Validate()
	}
}

// ValidateRegistration checks that m registers a client: type register and a
// client_id.
func ValidateRegistration(m *ClientMessage) error {
	return checkClient(m, ClientRegister, func(c *checklist) {
		c.text("client_id", m.ClientID)
	})
}

// ValidateTaskRequest checks that m asks for a task: type task, a request and
// a client_id; from a constellation also a target_id.
func ValidateTaskRequest(m *ClientMessage) error {
	return checkClient(m, ClientTask, func(c *checklist) {
		c.text("client_id", m.ClientID)
		c.text("request", m.Request)
		if m.ClientType == Constellation {
			c.text("target_id", m.TargetID)
		}
	})
}

// ValidateCommandResults checks that m answers a command: type
// command_results, a prev_response_id, and action_results, which may be empty
// but not unset.
func ValidateCommandResults(m *ClientMessage) error {
	return checkClient(m, ClientCommandResults, func(c *checklist) {
		c.text("prev_response_id", m.PrevResponseID)
		c.need(m.ActionResults != nil, "action_results", RuleRequired, "is required")
	})
}

// ValidateDeviceInfoRequest checks that m asks about a device: type
// device_info_request, from a constellation, with the request_id by which the
// answer is known.
func ValidateDeviceInfoRequest(m *ClientMessage) error {
	return checkClient(m, ClientDeviceInfoRequest, func(c *checklist) {
		c.need(m.ClientType == Constellation, "client_type", RuleEnum, "must be "+string(Constellation))
		c.text("request_id", m.RequestID)
	})
}

// ValidateServerMessage checks m as a client must before it acts on it: a
// command as [ValidateServerCommand] does, anything else against its model.
func ValidateServerMessage(m *ServerMessage) error {
	if m != nil && m.Type == ServerCommand {
		return ValidateServerCommand(m)
	}
	return m.Validate()
}

// ValidateServerCommand checks that m asks for tool calls: type command, at
// least one action, and a response_id.
func ValidateServerCommand(m *ServerMessage) error {
	return checkServer(m, ServerCommand, func(c *checklist) {
		c.need(len(m.Actions) > 0, "actions", RuleRequired, "is required")
		c.text("response_id", m.ResponseID)
	})
}

// ValidateTaskDispatch checks that m hands a device a task: type task and a
// user_request.
func ValidateTaskDispatch(m *ServerMessage) error {
	return checkServer(m, ServerTask, func(c *checklist) {
		c.text("user_request", m.UserRequest)
	})
}

// ValidateTaskAck checks that m acknowledges a task: type heartbeat, status ok
// and a session_id.
func ValidateTaskAck(m *ServerMessage) error {
	return checkServer(m, ServerHeartbeat, func(c *checklist) {
		c.need(m.Status == StatusOK, "status", RuleEnum, "must be "+string(StatusOK))
		c.text("session_id", m.SessionID)
	})
}

// ValidateTaskEnd checks that m ends a task: type task_end, status completed
// or failed, and the session_id.
func ValidateTaskEnd(m *ServerMessage) error {
	return checkServer(m, ServerTaskEnd, func(c *checklist) {
		c.need(m.Status == StatusCompleted || m.Status == StatusFailed, "status", RuleEnum,
			"must be one of "+string(StatusCompleted)+", "+string(StatusFailed))
		c.text("session_id", m.SessionID)
	})
}

// ValidateDeviceInfoResponse checks that m answers a device info request: type
// device_info_response and the response_id by which the request is known.
func ValidateDeviceInfoResponse(m *ServerMessage) error {
	return checkServer(m, ServerDeviceInfoResponse, func(c *checklist) {
		c.text("response_id", m.ResponseID)
	})
}

// checkClient validates m against its model and the wanted type, then against
// rest.
func checkClient(m *ClientMessage, want ClientMessageType, rest func(*checklist)) error {
	if m == nil {
		return m.Validate()
	}
	c := checklist{fields: wrongFields(m)}
	if m.Type != want {
		c.need(false, "type", RuleEnum, "must be "+string(want))
	}
	rest(&c)
	return c.err("ClientMessage")
}

// checkServer validates m against its model and the wanted type, then against
// rest.
func checkServer(m *ServerMessage, want ServerMessageType, rest func(*checklist)) error {
	if m == nil {
		return m.Validate()
	}
	c := checklist{fields: wrongFields(m)}
	if m.Type != want {
		c.need(false, "type", RuleEnum, "must be "+string(want))
	}
	rest(&c)
	return c.err("ServerMessage")
}

// checklist collects what is wrong, one entry per path.
type checklist struct {
	fields []FieldError
}

// text notes that the string at path is required.
func (c *checklist) text(path, value string) {
	c.need(value != "", path, RuleRequired, "is required")
}

// need notes that the field at path is wrong unless ok holds or something is
// noted of it already.
func (c *checklist) need(ok bool, path, rule, message string) {
	if ok {
		return
	}
	for _, field := range c.fields {
		if field.Path == path {
			return
		}
	}
	c.fields = append(c.fields, FieldError{Path: path, Rule: rule, Message: message})
}

// err returns what was noted, nil if nothing.
func (c *checklist) err(model string) error {
	if len(c.fields) == 0 {
		return nil
	}
	return &ValidationError{Model: model, Fields: c.fields}
}
