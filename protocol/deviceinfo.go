package protocol

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// DeviceInfoError is a server's answer that it has no information about a
// device.
type DeviceInfoError struct {
	DeviceID string
	// Message is the server's text.
	Message string
}

// Error names the device and gives the server's text.
func (e *DeviceInfoError) Error() string {
	return fmt.Sprintf("protocol: no info about device %q: %s", e.DeviceID, e.Message)
}

// RequestDeviceInfo asks the server what it knows about the device deviceID
// and returns it: the object that the device sent as its system_info. Only a
// constellation may ask, and one that registered for a device about that one
// only. It is a call (see [AIPProtocol.Call]). When the server knows nothing
// the error is a [*DeviceInfoError].
func RequestDeviceInfo(ctx context.Context, c *Client, deviceID string) (messages.Value, error) {
	id, err := c.registered()
	if err != nil {
		return messages.Value{}, err
	}
	request := messages.NewDeviceInfoRequest(id.ClientID, deviceID)
	reply, err := c.Call(ctx, request, MatchDeviceInfo(request.RequestID))
	if err != nil {
		return messages.Value{}, err
	}
	if reply.Status == messages.StatusError || reply.Status == messages.StatusFailed {
		return messages.Value{}, &DeviceInfoError{DeviceID: deviceID, Message: reply.Error}
	}
	if text, failed := infoError(reply.Result); failed {
		return messages.Value{}, &DeviceInfoError{DeviceID: deviceID, Message: text}
	}
	return reply.Result, nil
}

// infoError returns the text under the key "error" of a result, and whether
// there is that key. The status of such an answer is ok (spec section 3.7).
func infoError(result messages.Value) (string, bool) {
	if !result.IsObject() {
		return "", false
	}
	var fields messages.Object
	if err := result.Decode(&fields); err != nil {
		return "", false
	}
	value, ok := fields.Get("error")
	if !ok {
		return "", false
	}
	var text string
	if value.Decode(&text) != nil {
		text = value.String()
	}
	return text, true
}

// AnswerDeviceInfo answers request with info, what the device said when it
// registered. An unset or null info is answered as the reference answers for a
// device that it does not know.
func AnswerDeviceInfo(ctx context.Context, s *Server, request *messages.ClientMessage, info messages.Value) error {
	answer := messages.NewDeviceInfoResponse(request.RequestID, info)
	if info.IsNull() {
		answer = messages.NewDeviceInfoMissing(request.RequestID, request.TargetID)
	}
	return s.Send(ctx, answer)
}

// PushDeviceInfo tells the server about this device, unasked. The reference
// server takes no notice.
func PushDeviceInfo(ctx context.Context, c *Client, info messages.Value) error {
	id, err := c.registered()
	if err != nil {
		return err
	}
	return c.Send(ctx, messages.NewDeviceInfo(id.ClientID, info))
}
