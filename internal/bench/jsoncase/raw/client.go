// Package raw has AIP's messages with their free-form values left as text, as the
// SDK leaves them.
package raw

import "encoding/json"

//go:generate go tool easyjson -all -no_std_marshalers client.go
//go:generate go tool easyjson -all -no_std_marshalers server.go

// Value is a free-form value.
type Value = json.RawMessage

// ClientMessage is what a client sends.
type ClientMessage struct {
	Type           string   `json:"type"`
	Status         string   `json:"status"`
	ClientType     string   `json:"client_type,omitempty"`
	SessionID      string   `json:"session_id,omitempty"`
	TaskName       string   `json:"task_name,omitempty"`
	ClientID       string   `json:"client_id,omitempty"`
	TargetID       string   `json:"target_id,omitempty"`
	Request        string   `json:"request,omitempty"`
	ActionResults  []Result `json:"action_results,omitempty"`
	Timestamp      string   `json:"timestamp,omitempty"`
	RequestID      string   `json:"request_id,omitempty"`
	PrevResponseID string   `json:"prev_response_id,omitempty"`
	Error          string   `json:"error,omitempty"`
	Metadata       Value    `json:"metadata,omitempty"`
}

// Result is the outcome of a command.
type Result struct {
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
	Result    Value  `json:"result,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	CallID    string `json:"call_id,omitempty"`
}
