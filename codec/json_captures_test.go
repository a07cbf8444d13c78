package codec_test

import (
	"strings"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// frame is one line of a recorded conversation with the reference
// implementation's server.
type frame struct {
	Conn int
	From string
	Text *string
}

// refused are the frames of the captures that the reference itself refused to
// read, and the error this codec has for them.
var refused = map[string]string{
	`{not json`:                        "codec: not JSON: a key in double quotes is needed at byte 1",
	`{"type": "nope", "status": "ok"}`: "messages: ClientMessage is not valid: type must be one of " + messages.ClientTask.Allowed(),
}

func TestCaptures(t *testing.T) {
	for _, capture := range []struct {
		name          string
		byReference   []string // the sides that the reference played
		texts, failed int
	}{
		{"task_flow", []string{"client", "server"}, 54, 0},
		{"refusals_and_losses", []string{"server"}, 59, 2},
	} {
		texts, failed := 0, 0
		for _, frame := range readLines[frame](t, "testdata/captures/"+capture.name+".jsonl") {
			if frame.Text == nil {
				continue
			}
			texts++
			model, text := "ServerMessage", *frame.Text
			if frame.From == "client" {
				model = "ClientMessage"
			}
			if want, ok := refused[text]; ok {
				failed++
				if _, err := (codec.JSON{}).Validate(model, []byte(text)); err == nil || err.Error() != want {
					t.Errorf("%s: %v, want %s", text, err, want)
				}
				continue
			}
			checkFrame(t, model, text, strings.Contains(strings.Join(capture.byReference, " "), frame.From))
		}
		if texts != capture.texts || failed != capture.failed {
			t.Errorf("%s: %d texts, %d refused", capture.name, texts, failed)
		}
	}
}

// checkFrame decodes a frame, validates it and encodes it again in both
// styles. One that the reference wrote must come out byte for byte, except
// that an empty optional string is null.
func checkFrame(t *testing.T, model, text string, byReference bool) {
	t.Helper()
	m := codec.NewModel(model)
	if err := (codec.JSON{}).Decode([]byte(text), m); err != nil {
		t.Errorf("%v: %s", err, text)
		return
	}
	if err := m.(interface{ Validate() error }).Validate(); err != nil {
		t.Errorf("%v: %s", err, text)
	}
	for _, style := range []codec.Style{codec.Compact, codec.Reference} {
		again, err := codec.JSON{Style: style}.Append(nil, m)
		if err != nil {
			t.Errorf("%v: %s", err, text)
			continue
		}
		want := text
		if model == "ClientMessage" && !strings.Contains(text, `"client_type"`) {
			want = strings.Replace(text, "{", `{"client_type":"device",`, 1)
		}
		if !sameValue(t, model, again, []byte(want)) {
			t.Errorf("wrote\n%s\nfor\n%s", again, want)
		}
		if style == codec.Reference && byReference {
			want := strings.Replace(text, `"process_name":"","root_name":""`, `"process_name":null,"root_name":null`, 1)
			if string(again) != want {
				t.Errorf("wrote\n%s\nfor\n%s", again, want)
			}
		}
	}
}
