package faults

import (
	"fmt"
	"testing"

	"github.com/aip-go/aip/endpoint"
)

// slow are the toxics that delay, and lose nothing.
var slow = map[string][]toxic{
	"latency":   {{"latency", map[string]any{"latency": 20}}},
	"jitter":    {{"latency", map[string]any{"latency": 20, "jitter": 19}}},
	"bandwidth": {{"bandwidth", map[string]any{"rate": 200}}}, // KB a second
	"slicer":    {{"slicer", map[string]any{"average_size": 200, "size_variation": 100, "delay": 10}}},
	"slow close": {
		{"slow_close", map[string]any{"delay": 100}},
	},
	"all": {
		{"latency", map[string]any{"latency": 10, "jitter": 5}},
		{"bandwidth", map[string]any{"rate": 500}},
		{"slicer", map[string]any{"average_size": 500, "size_variation": 300, "delay": 10}},
		{"slow_close", map[string]any{"delay": 100}},
	},
}

// Protects: a line that is only slow makes tasks slow: nobody is taken for lost,
// whatever the setting, and the end of everything is in good order.
func TestSlowLines(t *testing.T) {
	t.Parallel()
	for name, toxics := range slow {
		for _, set := range settings {
			for _, hit := range sides {
				t.Run(fmt.Sprintf("%s/%s/%s", name, set, hit), func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, plan{setting: set, hit: hit, payload: 16 << 10, always: toxics}, nil)
					defer w.show()
					w.tool.release()
					first := w.awaitEnd(held, completed, w.ask(held, ""))
					second := w.awaitEnd("next", completed, w.ask("next", ""))
					w.close()
					w.check(held, completed, first)
					w.check("next", completed, second)
					w.checkHandled(completed, completed)
					for _, r := range []*recorder{w.seen, w.device.events, w.constellation.events} {
						if n := len(r.of(endpoint.EventDetached, "")); n > 0 {
							t.Errorf("%d connections were lost", n)
						}
						for _, e := range r.of(endpoint.EventDisconnected, "") {
							if e.Err != nil {
								t.Errorf("the %s observed an end of %s with %v", r.part, e.ClientID, e.Err)
							}
						}
					}
				})
			}
		}
	}
}
