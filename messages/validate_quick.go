package messages

// The validator is the arbiter of what is valid, but it reads a message by
// reflection, which costs more than encoding it. The functions of this file say
// yes to a valid message at once; whatever they do not say yes to is the
// validator's, which finds what is wrong and words it.

// plainlyValid reports whether m is a model that its struct tags accept.
// False says nothing: m may be of a type that is left to the validator.
func plainlyValid(m any) bool {
	switch m := m.(type) {
	case *ClientMessage:
		return m != nil && m.valid()
	case *ServerMessage:
		return m != nil && m.valid()
	case *Command:
		return m != nil && m.valid()
	case *Result:
		return m != nil && m.valid()
	default:
		return false
	}
}

// valid is what the tags of the struct say.
func (m *ClientMessage) valid() bool {
	if !m.Type.Valid() || !m.Status.Valid() || m.ClientType != "" && !m.ClientType.Valid() || !m.Metadata.fitsObject() {
		return false
	}
	for i := range m.ActionResults {
		if !m.ActionResults[i].valid() {
			return false
		}
	}
	return true
}

// valid is what the tags of the struct say.
func (m *ServerMessage) valid() bool {
	if !m.Type.Valid() || !m.Status.Valid() {
		return false
	}
	for i := range m.Actions {
		if !m.Actions[i].valid() {
			return false
		}
	}
	return true
}

// valid is what the tags of the struct say.
func (c *Command) valid() bool { return c.Parameters.fitsObject() && c.ToolType.Valid() }

// valid is what the tags of the struct say.
func (r *Result) valid() bool { return r.Status.Valid() }

// fitsObject reports whether v may be in a field for objects.
func (v Value) fitsObject() bool { return v.IsNull() || v.IsObject() }
