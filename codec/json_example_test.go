package codec_test

import (
	"errors"
	"fmt"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// A message is appended to a buffer that can be used again, and read back.
func ExampleJSON() {
	var c codec.Codec = codec.JSON{}

	buf, err := c.Append(nil, &messages.ClientMessage{
		Type:     messages.ClientHeartbeat,
		Status:   messages.StatusOK,
		ClientID: "device-1",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", buf)

	var message messages.ClientMessage
	if err := c.Decode(buf, &message); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(message.Type, message.ClientType, message.ClientID)
	// Output:
	// {"type":"heartbeat","status":"ok","client_id":"device-1"}
	// heartbeat device device-1
}

// What is wrong is told all at once, and typed.
func ExampleJSON_Decode() {
	var c codec.JSON
	var message messages.ServerMessage

	err := c.Decode([]byte(`{"status": "fine", "actions": [{"tool_name": "ls"}]}`), &message)
	var invalid *messages.ValidationError
	if errors.As(err, &invalid) {
		for _, field := range invalid.Fields {
			fmt.Println(field.Path, field.Message)
		}
	}

	err = c.Decode([]byte(`{"type": heartbeat}`), &message)
	var syntax *codec.SyntaxError
	if errors.As(err, &syntax) {
		fmt.Println("byte", syntax.Offset)
	}
	// Output:
	// status must be one of continue, completed, failed, ok, error
	// actions[0].tool_type is required
	// type is required
	// byte 9
}

// Validate says how the reference implementation would write a message.
func ExampleJSON_Validate() {
	output, err := codec.JSON{}.Validate("Command", []byte(`{"tool_type": "action", "tool_name": "click", "x": 1}`))
	fmt.Printf("%s %v\n", output, err)
	// Output: {"tool_name":"click","parameters":null,"tool_type":"action","call_id":null} <nil>
}
