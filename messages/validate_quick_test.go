package messages

import (
	"maps"
	"reflect"
	"testing"
)

// agree fails unless the quick check and the validator say the same of m.
func agree(t *testing.T, m any) {
	t.Helper()
	if quick, err := plainlyValid(m), structTags().Struct(m); quick != (err == nil) {
		t.Errorf("%+v: the quick check says %v, the validator: %v", m, quick, err)
	}
}

// Each field with a rule takes each of its values, good and bad, while the
// others have good ones.
func TestQuickCheckAgreesWithTheValidator(t *testing.T) {
	words := []string{"", " ", "nope", "OK", "none", "device", "constellation", "success", "action", "data_collection"}
	for _, list := range [][]string{stringsOf(clientMessageTypes), stringsOf(serverMessageTypes), stringsOf(taskStatuses),
		stringsOf(clientTypes), stringsOf(resultStatuses), stringsOf(toolTypes)} {
		words = append(words, list...)
	}
	for _, word := range words {
		agree(t, &ClientMessage{Type: ClientMessageType(word), Status: StatusOK})
		agree(t, &ClientMessage{Type: ClientTask, Status: TaskStatus(word)})
		agree(t, &ClientMessage{Type: ClientTask, Status: StatusOK, ClientType: ClientType(word)})
		agree(t, &ClientMessage{Type: ClientTask, Status: StatusOK, ActionResults: []Result{{Status: ResultNone}, {Status: ResultStatus(word)}}})
		agree(t, &ServerMessage{Type: ServerMessageType(word), Status: StatusOK})
		agree(t, &ServerMessage{Type: ServerTask, Status: TaskStatus(word)})
		agree(t, &ServerMessage{Type: ServerTask, Status: StatusOK, Actions: []Command{{ToolType: ToolAction}, {ToolType: ToolType(word)}}})
		agree(t, &Command{ToolType: ToolType(word)})
		agree(t, &Result{Status: ResultStatus(word)})
	}
	for _, raw := range []string{"", "null", "{}", `{"a":1}`, "[]", `"{"`, "1", "true"} {
		value := Value{raw: []byte(raw)}
		agree(t, &ClientMessage{Type: ClientTask, Status: StatusOK, Metadata: value})
		agree(t, &ClientMessage{Type: ClientTask, Status: StatusOK, ActionResults: []Result{{Status: ResultNone, Result: value}}})
		agree(t, &ServerMessage{Type: ServerTask, Status: StatusOK, Result: value})
		agree(t, &ServerMessage{Type: ServerTask, Status: StatusOK, Actions: []Command{{ToolType: ToolAction, Parameters: value}}})
		agree(t, &Command{ToolType: ToolAction, Parameters: value})
		agree(t, &Result{Status: ResultNone, Result: value})
	}
	agree(t, (*ClientMessage)(nil))
	agree(t, (*ServerMessage)(nil))
	agree(t, (*Command)(nil))
	agree(t, (*Result)(nil))
}

func stringsOf[E ~string](list values[E]) []string {
	out := make([]string, len(list))
	for i, value := range list {
		out[i] = string(value)
	}
	return out
}

// The quick check knows these rules: a change of a tag needs one of it.
func TestQuickCheckKnowsEveryRule(t *testing.T) {
	for _, test := range []struct {
		model any
		want  map[string]string
	}{
		{ClientMessage{}, map[string]string{"Type": "required,enum", "Status": "required,enum", "ClientType": "omitempty,enum",
			"ActionResults": "dive", "Metadata": "object"}},
		{ServerMessage{}, map[string]string{"Type": "required,enum", "Status": "required,enum", "Actions": "dive"}},
		{Command{}, map[string]string{"Parameters": "object", "ToolType": "required,enum"}},
		{Result{}, map[string]string{"Status": "required,enum"}},
	} {
		got := map[string]string{}
		model := reflect.TypeOf(test.model)
		for field := range model.Fields() {
			if rule, ok := field.Tag.Lookup("validate"); ok {
				got[field.Name] = rule
			}
		}
		if !maps.Equal(got, test.want) {
			t.Errorf("%s: the rules are %v, the quick check is made for %v", model.Name(), got, test.want)
		}
	}
}

// Whatever a message holds, the quick check says yes exactly when the validator
// does.
func FuzzQuickCheck(f *testing.F) {
	f.Add("task", "ok", "device", "success", "action", []byte("{}"), uint8(1))
	f.Add("command", "continue", "", "none", "data_collection", []byte("null"), uint8(3))
	f.Add("", "x", "server", "ok", "tool", []byte("[1]"), uint8(2))
	f.Fuzz(func(t *testing.T, kind, status, role, result, tool string, raw []byte, n uint8) {
		value := Value{raw: raw}
		r := Result{Status: ResultStatus(result), Error: role, Result: value, CallID: kind}
		c := Command{ToolName: kind, Parameters: value, ToolType: ToolType(tool), CallID: status}
		results := []Result{{Status: ResultSuccess}}
		actions := []Command{{ToolType: ToolAction}}
		for range n % 4 {
			results, actions = append(results, r), append(actions, c)
		}
		agree(t, &ClientMessage{Type: ClientMessageType(kind), Status: TaskStatus(status), ClientType: ClientType(role),
			ActionResults: results, Metadata: value, Request: tool})
		agree(t, &ServerMessage{Type: ServerMessageType(kind), Status: TaskStatus(status), Actions: actions, Result: value, Error: role})
		agree(t, &c)
		agree(t, &r)
	})
}
