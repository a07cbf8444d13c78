package websocket

// ReadsItself reports whether a receive reads from the network.
func (t *Transport) ReadsItself() bool {
	c, err := t.current()
	if err != nil {
		return false
	}
	c.reading.mu.Lock()
	defer c.reading.mu.Unlock()
	return c.reading.role == byReceive
}

// Postpones reports whether something is left to whoever reads.
func (t *Transport) Postpones() bool {
	c, err := t.current()
	if err != nil {
		return false
	}
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	return c.gate.postponed.some
}
