package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// toolName is the one tool of the device. It acts: to do it twice would be
// wrong.
const toolName = "act"

// steps is how many commands a task has.
const steps = 2

// step is what the tool is to do.
type step struct {
	Task string `json:"task"`
	Step int    `json:"step"`
}

// held is the task whose first step takes until it is released.
const held = "held"

// tool counts what it does.
type tool struct {
	payload  string
	began    chan struct{} // closed when the held step has begun
	released chan struct{}

	beginning, releasing sync.Once
	mu                   sync.Mutex
	runs                 map[step]int
	cut                  map[step]int // how often it was cut off
}

func newTool(payload int) *tool {
	return &tool{
		payload: strings.Repeat("x", payload), runs: map[step]int{}, cut: map[step]int{},
		began: make(chan struct{}), released: make(chan struct{}),
	}
}

func (k *tool) release() { k.releasing.Do(func() { close(k.released) }) }

func (k *tool) run(ctx context.Context, parameters messages.Value) (any, error) {
	var s step
	if err := parameters.Decode(&s); err != nil {
		return nil, err
	}
	k.mu.Lock()
	k.runs[s]++
	k.mu.Unlock()
	if s == (step{held, 1}) {
		k.beginning.Do(func() { close(k.began) })
		select {
		case <-k.released:
		case <-ctx.Done():
			k.mu.Lock()
			defer k.mu.Unlock()
			k.cut[s]++
			return nil, context.Cause(ctx)
		}
	}
	return fmt.Sprintf("%s/%d%s", s.Task, s.Step, k.payload), nil
}

// count returns how often the steps of a task were begun, how many of them more
// than once, and how many were cut off.
func (k *tool) count(task string) (runs, twice, cut int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for s, n := range k.runs {
		if s.Task != task {
			continue
		}
		runs += n
		cut += k.cut[s]
		if n > 1 {
			twice++
		}
	}
	return runs, twice, cut
}

// errStep is a step that the device reports as failed.
var errStep = errors.New("a step failed")

// handle has the device do the steps of a task, which its request names, and
// returns the result of the last one.
func (w *world) handle(ctx context.Context, task *endpoint.Task) (result any, err error) {
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.handled = append(w.handled, err)
	}()
	for n := 1; n <= steps; n++ {
		parameters, err := messages.NewValue(step{task.Request, n})
		if err != nil {
			return nil, err
		}
		results, err := task.Do(ctx, messages.Command{ToolName: toolName, ToolType: messages.ToolAction, Parameters: parameters})
		if err != nil {
			return nil, err
		}
		if len(results) != 1 || results[0].Status != messages.ResultSuccess {
			return nil, fmt.Errorf("%w: %v", errStep, results)
		}
		result = results[0].Result
	}
	return result, nil
}

// want is the result of a task.
func (k *tool) want(task string) string {
	return fmt.Sprintf("%q", fmt.Sprintf("%s/%d%s", task, steps, k.payload))
}

// outcome is what a Run of the constellation returned.
type outcome struct {
	result *endpoint.TaskResult
	err    error
}

// ask gives the device a task. With a requestID it can be asked for again.
func (w *world) ask(task, requestID string) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		result, err := w.stars.Run(context.Background(), deviceID, endpoint.TaskRequest{
			Request: task, ID: task, Name: task, RequestID: requestID,
		})
		ended <- outcome{result, err}
	}()
	return ended
}

// session is the id of a task.
func session(task string) string { return messages.ConstellationSessionID(starsID, task) }
