package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aip-go/aip/messages"
)

// TestTypedSchema: the schema has all that the types and tags say, in the order
// of the fields.
func TestTypedSchema(t *testing.T) {
	want := `{"type":"object","properties":{` +
		`"limit":{"type":"integer","description":"how many","minimum":1,"maximum":100},` +
		`"mode":{"type":"string","enum":["read","write"]},` +
		`"level":{"type":["null","integer"],"enum":[1,2,null]},` +
		`"modes":{"type":["null","array"],"items":{"type":"string","enum":["x","y"]}},` +
		`"ratio":{"type":"number","minimum":-0.5,"maximum":2.5},` +
		`"flag":{"type":"boolean"},` +
		`"small":{"type":"integer","minimum":0,"maximum":255},` +
		`"wide":{"type":"integer"},` +
		`"files":{"type":["null","array"],"items":{"type":"object","properties":{` +
		`"name":{"type":"string","minLength":1,"maxLength":8,"pattern":"^[a-z.]+$"},"size":{"type":["null","integer"]}},` +
		`"required":["name"],"additionalProperties":false}},` +
		`"env":{"type":["null","object"],"additionalProperties":{"type":"object","properties":{` +
		`"limit":{"type":"integer","description":"how many","minimum":1,"maximum":100}},"additionalProperties":false}},` +
		`"pair":{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2},` +
		`"at":{"type":"string","format":"date-time"},` +
		`"until":{"type":["null","string"],"format":"date-time"},` +
		`"data":{"type":["null","string"],"contentEncoding":"base64"},` +
		`"raw":true,"raw_ptr":true,"value":true,"any":true,` +
		`"number":{"type":"number"},` +
		`"address":{"type":"string"},` +
		`"loud":true,` +
		`"hosts":{"type":["null","object"],"additionalProperties":{"type":"integer"}},` +
		`"Plain":{"type":"string"}},` +
		`"required":["mode"],"additionalProperties":false}`
	if got := typed[everything](t, nil).InputSchema.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

type (
	ring       struct{ Next *ring }
	chain      []chain
	Self       struct{ *Self }
	Base       struct{ X int }
	hiddenBase struct{ X int }
	Count      int
	quoted     struct {
		N int `json:",string"`
	}
	twice      struct{ A, B int }
	sameGoName struct {
		Base
		X string
	}
	sameJSONName struct {
		Base
		Y int `json:"X"`
	}
	named struct {
		Base `json:"base"`
	}
	left struct {
		Base `json:"-"`
	}
	number        struct{ Count }
	hiddenPointer struct{ *hiddenBase }
	clash         struct {
		Loud
		json.RawMessage
	}
	badEnum struct {
		N int `enum:"1,x"`
	}
	boolEnum struct {
		B bool `enum:"true"`
	}
	badMinimum struct {
		N int `minimum:"low"`
	}
	textMinimum struct {
		S string `minimum:"1"`
	}
	badLength struct {
		S string `minLength:"-1"`
	}
	badPattern struct {
		S string `pattern:"("`
	}
	anyPattern struct {
		S any `pattern:"x"`
	}
)

func untypable[P any]() (string, error) {
	_, err := NewTool("t", func(context.Context, P) (any, error) { return nil, nil }, nil)
	return fmt.Sprintf("%T", *new(P)), err
}

// TestTypedRefused: what a schema cannot say, or would say wrongly, is refused
// when the tool is made.
func TestTypedRefused(t *testing.T) {
	for _, test := range []struct {
		refused func() (string, error)
		want    string
	}{
		{untypable[int], "no struct and no map"},
		{untypable[*struct{}], "no struct and no map"},
		{untypable[[]string], "no struct and no map"},
		{untypable[time.Time], "no struct and no map"},
		{untypable[any], "no struct and no map"},
		{untypable[map[int]string], "unsupported map key type"},
		{untypable[struct{ F func() }], "unsupported"},
		{untypable[struct{ C chan int }], "unsupported"},
		{untypable[struct{ C complex64 }], "unsupported"},
		{untypable[struct{ E error }], "interface with methods"},
		{untypable[ring], "cycle"},
		{untypable[struct{ L chain }], "cycle"},
		{untypable[Self], "embeds itself"},
		{untypable[quoted], "json option string"},
		{untypable[sameGoName], "two fields called X"},
		{untypable[sameJSONName], "two fields called Y"},
		{untypable[named], "has a JSON name"},
		{untypable[left], "has a JSON name"},
		{untypable[number], "is no struct"},
		{untypable[hiddenPointer], "pointer to an unexported struct"},
		{untypable[struct{ C clash }], "decodes itself"},
		{untypable[badEnum], "tag enum: "},
		{untypable[boolEnum], "tag enum is for string, integer, number only"},
		{untypable[badMinimum], "tag minimum: "},
		{untypable[textMinimum], "tag minimum is for integer, number only"},
		{untypable[badLength], "tag minLength: "},
		{untypable[badPattern], "missing closing )"},
		{untypable[anyPattern], "tag pattern is for string only"},
		{untypable[struct {
			A int `jsonschema:""`
		}], "empty jsonschema tag"},
	} {
		name, err := test.refused()
		if !errors.Is(err, ErrInvalidOptions) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	odd := reflect.StructOf([]reflect.StructField{{Name: "A", Type: reflect.TypeFor[int](), Tag: `json:"it's"`}})
	if _, err := newParameterDecoder(odd, false); err == nil || !strings.HasSuffix(err.Error(), "has a name that encoding/json does not take") {
		t.Errorf("%s: got %v", odd, err)
	}
	if name, err := untypable[twice](); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if _, err := NewTool("", func(context.Context, struct{}) (any, error) { return nil, nil }, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("without a name: %v", err)
	}
	if _, err := NewTool[struct{}, any]("t", nil, nil); !errors.Is(err, ErrInvalidOptions) {
		t.Errorf("without a run: %v", err)
	}
}

// described returns the OutputSchema of a tool with results of type R.
func described[R any]() (string, error) {
	tool, err := NewTool("t", func(context.Context, struct{}) (R, error) { return *new(R), nil }, nil)
	return tool.OutputSchema.String(), err
}

// shout is encoded by a method of its own, and decoded like its kind.
type shout struct{ Text string }

func (shout) MarshalText() ([]byte, error) { return []byte("!"), nil }

// TestTypedOutputSchema: results are described if their type says something.
func TestTypedOutputSchema(t *testing.T) {
	for _, test := range []struct {
		described func() (string, error)
		want      string
	}{
		{described[any], ""},
		{described[error], ""},
		{described[json.RawMessage], ""},
		{described[messages.Value], ""},
		{described[string], `{"type":"string"}`},
		{described[*time.Time], `{"type":["null","string"],"format":"date-time"}`},
		{described[shout], `{"type":"string"}`},
		{described[map[string]int], `{"type":["null","object"],"additionalProperties":{"type":"integer"}}`},
		{described[[]fileSpec], `{"type":["null","array"],"items":{"type":"object","properties":{` +
			`"name":{"type":"string","minLength":1,"maxLength":8,"pattern":"^[a-z.]+$"},"size":{"type":["null","integer"]}},` +
			`"required":["name"],"additionalProperties":false}}`},
		{described[struct{ E error }], `{"type":"object","properties":{"E":true},"required":["E"],"additionalProperties":false}`},
	} {
		if got, err := test.described(); err != nil || got != test.want {
			t.Errorf("got %s, %v; want %s", got, err, test.want)
		}
	}
	for _, wrong := range []func() (string, error){described[ring], described[chan int], described[badPattern]} {
		if _, err := wrong(); !errors.Is(err, ErrInvalidOptions) || !strings.HasSuffix(err.Error(), "; any describes nothing") {
			t.Errorf("got %v", err)
		}
	}
}
