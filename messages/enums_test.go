package messages_test

import (
	"strings"
	"testing"

	"github.com/aip-go/aip/messages"
)

func checkEnum[E messages.Enum[E]](t *testing.T, count int, values ...E) {
	t.Helper()
	if len(values) != count {
		t.Fatalf("%T: %d constants tested, want %d", values[0], len(values), count)
	}
	words := make([]string, len(values))
	for i, value := range values {
		words[i] = string(value)
		if !value.Valid() {
			t.Errorf("%T %q is not valid", value, value)
		}
		text := []byte(value)
		if got := value.Named(text); got != value {
			t.Errorf("%T: %q names %q", value, text, got)
		}
		for _, other := range []string{"", strings.ToUpper(string(value)), string(value) + " "} {
			if E(other).Valid() || value.Named([]byte(other)) != "" {
				t.Errorf("%T %q is valid", value, other)
			}
		}
	}
	if got, want := values[0].Allowed(), strings.Join(words, ", "); got != want {
		t.Errorf("%T.Allowed() = %q, want %q", values[0], got, want)
	}
}

func TestEnums(t *testing.T) {
	checkEnum(t, 8, messages.ClientTask, messages.ClientHeartbeat, messages.ClientCommandResults,
		messages.ClientError, messages.ClientRegister, messages.ClientTaskEnd,
		messages.ClientDeviceInfoRequest, messages.ClientDeviceInfoResponse)
	checkEnum(t, 7, messages.ServerTask, messages.ServerHeartbeat, messages.ServerTaskEnd,
		messages.ServerCommand, messages.ServerError, messages.ServerDeviceInfoRequest,
		messages.ServerDeviceInfoResponse)
	checkEnum(t, 5, messages.StatusContinue, messages.StatusCompleted, messages.StatusFailed,
		messages.StatusOK, messages.StatusError)
	checkEnum(t, 2, messages.Device, messages.Constellation)
	checkEnum(t, 4, messages.ResultSuccess, messages.ResultFailure, messages.ResultSkipped, messages.ResultNone)
	checkEnum(t, 2, messages.ToolDataCollection, messages.ToolAction)
}

// The two directions do not share all their types.
func TestEnumsOfOneDirection(t *testing.T) {
	for _, word := range []string{"register", "command_results"} {
		if messages.ServerMessageType(word).Valid() {
			t.Errorf("a server may not send %s", word)
		}
	}
	if messages.ClientMessageType("command").Valid() {
		t.Error("a client may not send command")
	}
}
