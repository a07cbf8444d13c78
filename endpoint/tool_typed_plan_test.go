package endpoint

import (
	"reflect"
	"testing"

	"github.com/aip-go/aip/internal/jsonscan"
	"github.com/aip-go/aip/messages"
)

type planned struct {
	paging
	Mode  string     `json:"mode" enum:"read,write"`
	Modes []string   `json:"modes,omitempty" enum:"x,y"`
	Level *int       `json:"level,omitempty" enum:"1,2"`
	Ratio float32    `json:"ratio,omitempty" minimum:"-0.5" maximum:"2.5"`
	Wide  float64    `json:"wide,omitempty"`
	Flag  *bool      `json:"flag,omitempty"`
	Small uint8      `json:"small,omitempty"`
	Tiny  int8       `json:"tiny,omitempty"`
	Long  int64      `json:"long,omitempty"`
	Files []fileSpec `json:"files,omitempty"`
	Deep  [][]uint   `json:"deep,omitempty"`
	Plain string     `json:",omitempty"`
}

// plannedParameters are some that the plan takes.
var plannedParameters = []string{
	`{"mode":"read"}`,
	` { "mode" : "write" , "limit" : 100 , "modes" : [ "x" , "y" ] } `,
	`{"m\u006fde":"re\u0061d","Plain":"\ud83d\ude00 \"text\" \u2028 é"}`,
	`{"mode":"read","level":2,"ratio":2.5,"wide":-1e300,"flag":true,"small":255,"tiny":-128,"long":9223372036854775807}`,
	`{"mode":"read","level":null,"modes":null,"flag":null,"files":null,"deep":null}`,
	`{"mode":"read","files":[{"name":"a.b","size":-0},{"name":"c","size":null}],"deep":[[],null,[1,2]],"modes":[]}`,
}

// TestPlan: what a tool is usually called with is decoded in one pass, and to
// the same as otherwise.
func TestPlan(t *testing.T) {
	decoder, err := newParameterDecoder(reflect.TypeFor[planned](), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range plannedParameters {
		if !checkPlan(t, decoder, parameters(t, text)) {
			t.Errorf("%s: the plan does not take it", text)
		}
	}
	for _, text := range []string{
		`{}`, `{"mode":"other"}`, `{"mode":"read","mode":"write"}`, `{"mode":"read","more":1}`, `{"mode":"read","MODE":"read"}`,
		`{"mode":null}`, `{"mode":"read","limit":0}`, `{"mode":"read","limit":101}`, `{"mode":"read","limit":1.0}`,
		`{"mode":"read","small":256}`, `{"mode":"read","small":-1}`, `{"mode":"read","tiny":128}`, `{"mode":"read","level":3}`,
		`{"mode":"read","ratio":2.6}`, `{"mode":"read","wide":1e400}`, `{"mode":"read","modes":["z"]}`, `{"mode":"read","flag":1}`,
		`{"mode":"read","files":[{}]}`, `{"mode":"read","files":[{"name":""}]}`, `{"mode":"read","files":[{"name":"A"}]}`,
		`{"mode":"read","files":[{"name":"abcdefghi"}]}`, `{"mode":"read","files":{}}`, `{"mode":"read","deep":[1]}`,
	} {
		if checkPlan(t, decoder, parameters(t, text)) {
			t.Errorf("%s: the plan takes it", text)
		}
	}
}

// TestUnplanned: a plan checks all that the schema says, or there is none.
func TestUnplanned(t *testing.T) {
	for _, goType := range []reflect.Type{
		reflect.TypeFor[map[string]int](),
		reflect.TypeFor[struct{ Any any }](),
		reflect.TypeFor[struct{ Pair [2]int }](),
		reflect.TypeFor[struct{ Value *messages.Value }](),
		reflect.TypeFor[struct{ Data []byte }](),
		reflect.TypeFor[struct{ Within []struct{ Loud Loud } }](),
		reflect.TypeFor[struct{ Far **int }](),
		reflect.TypeFor[struct{ *planned }](),
	} {
		if decoder, err := newParameterDecoder(goType, false); err == nil && decoder.plan != nil {
			t.Errorf("%s has a plan", goType)
		}
	}
}

// checkPlan checks that, if the plan takes v, so does the long way, and that both
// get the same.
func checkPlan(t *testing.T, d *parameterDecoder, v messages.Value) bool {
	t.Helper()
	var got, want planned
	s := jsonscan.New(v.Bytes(), maxPlanDepth)
	if !v.IsObject() || !d.plan(&s, reflect.ValueOf(&got).Elem()) || s.End() != nil {
		return false
	}
	if err := d.decodeSlowly(v, &want); err != nil {
		t.Fatalf("%s: got %+v; it should be refused with %v", v, got, err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: got %+v, want %+v", v, got, want)
	}
	return true
}

// FuzzPlan: what the plan takes is the same as without it.
func FuzzPlan(f *testing.F) {
	for _, text := range plannedParameters {
		f.Add([]byte(text), false)
	}
	f.Add([]byte(`{"mode":"read","unknown":[{"mode":1}],"MODE":2}`), true)
	var decoders [2]*parameterDecoder
	for i := range decoders {
		var err error
		if decoders[i], err = newParameterDecoder(reflect.TypeFor[planned](), i == 1); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, open bool) {
		var v messages.Value
		if v.UnmarshalJSON(text) != nil {
			return
		}
		d := decoders[0]
		if open {
			d = decoders[1]
		}
		checkPlan(t, d, v)
	})
}
