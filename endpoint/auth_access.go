package endpoint

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/aip-go/aip/messages"
)

// Action is what a client wants to do with a device.
type Action string

// The actions for which [ServerOptions]' Authorize is asked.
const (
	// ActionTarget: a constellation names the device at its registration.
	ActionTarget Action = "target"
	// ActionTask: a client asks for a task that the device is to run.
	ActionTask Action = "task"
	// ActionDeviceInfo: a constellation asks what is known of the device.
	ActionDeviceInfo Action = "device_info"
)

// Access is what a client wants to do.
type Access struct {
	Action Action
	// Requester is the client. At its registration it is not among
	// [Server.Clients] yet.
	Requester ClientInfo
	// DeviceID names the device, which need not be there: who may not know is
	// not told whether it is.
	DeviceID string
}

// notAuthorized is all that a client is told.
const notAuthorized = "Not authorized"

// authorize asks the user's function, whose failure is a refusal. Whatever it
// allows, the rules of spec section 5 stay in force.
func (c *client) authorize(ctx context.Context, action Action, deviceID string) (err error) {
	ask := c.server.options.Authorize
	if ask == nil || deviceID == "" {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			c.server.logger.Error("Authorize panicked", zap.Any("panic", v), zap.Stack("stack"))
			err = ErrNotAuthorized
		}
	}()
	if err := ask(ctx, Access{Action: action, Requester: c.info, DeviceID: deviceID}); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAuthorized, err)
	}
	return nil
}

// checkTask checks what is kept of a task, or shown to others.
func checkTask(m *messages.ClientMessage) error {
	if err := checkName(m.TargetID, maxClientID); err != nil {
		return err
	}
	if err := checkName(m.SessionID, maxSessionID); err != nil {
		return err
	}
	return checkName(m.RequestID, maxSessionID)
}

// authorizeTask says whether c may ask for the task m; for who may not, it is as
// if the device was not there.
func (c *client) authorizeTask(ctx context.Context, m *messages.ClientMessage) error {
	deviceID := m.TargetID
	if deviceID == "" && c.info.Role == messages.Device {
		deviceID = c.info.ID
	}
	return c.authorize(ctx, ActionTask, deviceID)
}
