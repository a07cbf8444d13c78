package lazyctx

import (
	"context"
	"fmt"
	"time"
)

// String names it as package context does. Without it, who prints a context
// would read what others write.
func (c *Context) String() string {
	if own, ok := c.Deadline(); ok && own.Equal(c.deadline) {
		return fmt.Sprintf("%s.WithDeadline(%s [%s])", name(c.parent), c.deadline, time.Until(c.deadline))
	}
	return name(c.parent) + ".WithCancel"
}

// name returns the name of a context, which need not have one.
func name(ctx context.Context) string {
	if named, ok := ctx.(fmt.Stringer); ok {
		return named.String()
	}
	return fmt.Sprintf("%T", ctx)
}
