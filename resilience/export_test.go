package resilience

// Remembered returns how many devices the reconnector keeps in mind.
func (r *Reconnector) Remembered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.devices)
}
