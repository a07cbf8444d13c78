package codec_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

// fill sets every field of the struct v to a value of its own, which counts.
func fill(t *testing.T, v reflect.Value, count *int) {
	t.Helper()
	*count++
	switch v.Interface().(type) {
	case messages.Value:
		v.Set(reflect.ValueOf(messages.TrustedValue(fmt.Appendf(nil, `{"n":%d}`, *count))))
		return
	case messages.Object:
		v.Set(reflect.ValueOf(messages.Object{{Key: fmt.Sprintf("x%d", *count), Value: messages.TrustedValue(fmt.Appendf(nil, `[%d]`, *count))}}))
		return
	case messages.ClientMessageType, messages.ServerMessageType:
		v.SetString("heartbeat")
		return
	case messages.TaskStatus:
		v.SetString("ok")
		return
	case messages.ClientType:
		v.SetString("constellation")
		return
	case messages.ResultStatus:
		v.SetString("skipped")
		return
	case messages.ToolType:
		v.SetString("action")
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), count)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), count)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), count)
		fill(t, v.Index(1), count)
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *count))
	case reflect.Int64:
		v.SetInt(int64(*count))
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("a field of type %v", v.Type())
	}
}

// Every field of every model is written, under the name and in the place that
// its declaration has, and read again.
func TestEveryField(t *testing.T) {
	types := map[string]string{
		"BinaryMetadata": messages.BinaryDataType, "FileTransferStart": messages.FileTransferStartType,
		"FileTransferComplete": messages.FileTransferCompleteType,
	}
	for _, name := range codec.Models() {
		m, count := codec.NewModel(name), 0
		v := reflect.ValueOf(m).Elem()
		fill(t, v, &count)
		if word := types[name]; word != "" {
			v.FieldByName("Type").SetString(word)
		}
		declared, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, style := range []codec.Style{codec.Compact, codec.Reference} {
			text, err := codec.JSON{Style: style}.Append(nil, m)
			if err != nil || (style == codec.Compact && string(text) != string(declared)) {
				t.Errorf("%s: %v, wrote\n%s\nits declaration says\n%s", name, err, text, declared)
			}
			again := codec.NewModel(name)
			if err := (codec.JSON{}).Decode(text, again); err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%s: %v, read %+v from\n%s", name, err, again, text)
			}
		}
	}
}
