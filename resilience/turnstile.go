package resilience

import "context"

// turnstile is a lock that may be held while a peer is waited for: who waits for
// it can give up. It is made with room for one.
type turnstile chan struct{}

// enter takes the lock, or returns the error of ctx.
func (t turnstile) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait takes the lock.
func (t turnstile) wait() { t <- struct{}{} }

// leave gives the lock up.
func (t turnstile) leave() { <-t }
