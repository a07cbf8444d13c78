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
