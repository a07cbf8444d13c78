package messages

import "github.com/google/uuid"

// NewID returns a fresh id: a random (version 4) UUID in lower case. Ids of
// messages, sessions and calls are opaque; this is the form in which the
// constructors fill them.
func NewID() string { return uuid.NewString() }

// ConstellationClientID returns the client id under which the constellation
// name serves the device deviceID: "name@device". A constellation keeps one
// connection per device, and client ids are unique on a server.
func ConstellationClientID(name, deviceID string) string {
	return name + "@" + deviceID
}

// ConstellationSessionID returns the session id of the task taskID of the
// constellation name: "name@task".
func ConstellationSessionID(name, taskID string) string {
	return name + "@" + taskID
}
