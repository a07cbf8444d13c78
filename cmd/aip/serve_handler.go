package main

import (
	"context"
	"fmt"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

var errRequestTooLong = fmt.Errorf("the request is longer than %d bytes", maxRequestSize)

// handler returns what runs tasks by the plan.
func (p *plan) handler(r *report) endpoint.TaskHandler {
	return func(ctx context.Context, task *endpoint.Task) (any, error) {
		r.event("server", "task", fmt.Sprintf("task %s for %q: %q", task.Name, task.Device.ID, shorten(task.Request)),
			field{"task", task.Name}, field{"session_id", task.SessionID}, field{"client_id", task.Requester.ID},
			field{"device_id", task.Device.ID}, field{"request", shorten(task.Request)})
		if len(task.Request) > maxRequestSize {
			return nil, errRequestTooLong
		}
		for i := range p.commands {
			if err := p.send(ctx, r, task, i); err != nil {
				return nil, err
			}
		}
		return nil, nil // the results of the commands
	}
}

// send sends command i of the plan and waits for its result, which has to be a
// success.
func (p *plan) send(ctx context.Context, r *report, task *endpoint.Task, i int) error {
	command, err := p.commands[i].fill(task.Request)
	if err != nil {
		return err
	}
	which := fmt.Sprintf("command %d of %d, %s", i+1, len(p.commands), command.ToolName)
	about := []field{{"task", task.Name}, {"session_id", task.SessionID}, {"device_id", task.Device.ID}, {"number", i + 1}, {"tool", command.ToolName}}
	r.event("server", "command", fmt.Sprintf("sends %q %s", task.Device.ID, which), about...)
	results, err := task.Do(ctx, command)
	if err != nil {
		text := shorten(err.Error())
		r.event("server", "no_result", fmt.Sprintf("has no result of %s: %s", which, text), append(about, field{"error", text})...)
		return err
	}
	result := results[0]
	about = append(about, field{"status", result.Status}, field{"bytes", result.Result.Len()})
	if result.Status == messages.ResultSuccess {
		r.event("server", "result", fmt.Sprintf("has the result of %s: %d bytes", which, result.Result.Len()), about...)
		return nil
	}
	text := shorten(result.Error)
	r.event("server", "result", fmt.Sprintf("%s: %s: %s", which, result.Status, text), append(about, field{"error", text})...)
	return fmt.Errorf("%s: %s: %s", which, result.Status, text)
}

// serverObserver reports what happens to the clients and the tasks of a server.
func serverObserver(r *report) func(endpoint.Event) {
	return func(e endpoint.Event) {
		client := []field{{"client_id", e.ClientID}, {"role", e.Role}}
		reason := shorten(fmt.Sprint(e.Err))
		switch e.Kind {
		case endpoint.EventRegistered:
			how := "has registered"
			if e.Resumed {
				how = "has come back to its session"
			}
			r.event("server", "registered", fmt.Sprintf("%s %q %s", e.Role, e.ClientID, how), append(client, field{"resumed", e.Resumed})...)
		case endpoint.EventRejected:
			r.event("server", "rejected", "turns a connection away: "+reason, append(client, field{"error", reason})...)
		case endpoint.EventDetached:
			r.event("server", "detached", fmt.Sprintf("%s %q has lost its connection and may come back", e.Role, e.ClientID), client...)
		case endpoint.EventDisconnected:
			how := "has disconnected"
			if e.Err != nil {
				how = "is lost"
			}
			r.event("server", "disconnected", fmt.Sprintf("%s %q %s", e.Role, e.ClientID, how), append(client, field{"clean", e.Err == nil})...)
		case endpoint.EventTaskRefused:
			r.event("server", "task_refused", fmt.Sprintf("refuses a task of %q: %s", e.ClientID, reason), append(client, field{"error", reason})...)
		case endpoint.EventTaskEnded:
			text := fmt.Sprintf("task %s has ended: %s", e.TaskName, e.Status)
			about := append(client, field{"task", e.TaskName}, field{"session_id", e.SessionID}, field{"device_id", e.DeviceID}, field{"status", e.Status})
			if e.Err != nil {
				text += ": " + reason
				about = append(about, field{"error", reason})
			}
			r.event("server", "task_ended", text, about...)
		case endpoint.EventRefused:
			r.event("server", "refused", fmt.Sprintf("refuses a message of %q: %s", e.ClientID, reason), append(client, field{"error", reason})...)
		}
	}
}
