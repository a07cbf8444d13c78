package messages_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aip-go/aip/messages"
)

// A device answers a command: the ids that tie the answer to the command are
// taken from it.
func ExampleNewCommandResults() {
	command := messages.NewCommand(messages.CommandRequest{
		SessionID: "session-1",
		AgentName: "LinuxAgent",
		Actions:   []messages.Command{{ToolName: "hostname", ToolType: messages.ToolDataCollection, CallID: "call-1"}},
	})

	output, err := messages.NewValue("vm-7")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := messages.NewCommandResults("device-1", command, []messages.Result{
		{Status: messages.ResultSuccess, Result: output, CallID: command.Actions[0].CallID},
	})

	fmt.Println(answer.Type, answer.Status, answer.SessionID)
	fmt.Println(answer.PrevResponseID == command.ResponseID)
	fmt.Println(answer.ActionResults[0].CallID, answer.ActionResults[0].Result)
	// Output:
	// command_results continue session-1
	// true
	// call-1 "vm-7"
}

// Validate reports every wrong field at once.
func ExampleClientMessage_Validate() {
	message := &messages.ClientMessage{
		Type:          "greeting",
		ActionResults: []messages.Result{{Status: messages.ResultSuccess}, {Status: "fine"}},
	}

	var invalid *messages.ValidationError
	if errors.As(message.Validate(), &invalid) {
		for _, field := range invalid.Fields {
			fmt.Println(field.Path, field.Rule)
		}
	}
	// Output:
	// type enum
	// status required
	// action_results[1].status enum
}

// A value keeps its JSON text, and so numbers of any size.
func ExampleValue_Decode() {
	var message messages.ServerMessage
	text := `{"type":"task_end","status":"completed","result":{"rows":12345678901234567890123}}`
	if err := json.Unmarshal([]byte(text), &message); err != nil {
		fmt.Println(err)
		return
	}

	var result map[string]any
	if err := message.Result.Decode(&result); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(result["rows"])
	// Output: 12345678901234567890123
}

// An Object keeps the order of its members.
func ExampleObject() {
	platform, err := messages.NewValue("linux")
	if err != nil {
		fmt.Println(err)
		return
	}
	var metadata messages.Object
	metadata.Set("platform", platform)
	metadata.Set("label", messages.Value{})
	fmt.Println(metadata.Value())
	// Output: {"platform":"linux","label":null}
}
