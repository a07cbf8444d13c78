package lazyctx

import "context"

// Send sends v, or returns the error of ctx, whose Done is asked for only if it
// has to wait.
func Send[T any](ctx context.Context, to chan<- T, v T) error {
	select {
	case to <- v:
		return nil
	default:
	}
	select {
	case to <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Receive waits until something is received, or from is closed, or returns the
// error of ctx, whose Done is asked for only if it has to wait.
func Receive[T any](ctx context.Context, from <-chan T) error {
	select {
	case <-from:
		return nil
	default:
	}
	select {
	case <-from:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
