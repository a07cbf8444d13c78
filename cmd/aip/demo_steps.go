package main

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aip-go/aip/endpoint"
	"github.com/aip-go/aip/messages"
)

// fileSize is the length of the file that is sent, in bytes.
const fileSize = 8 << 20

func (d *demo) register(ctx context.Context) error {
	err := d.startServer()
	if err != nil {
		return err
	}
	if d.desk, err = d.newDevice("desk", true); err != nil {
		return err
	}
	if d.laptop, err = d.newDevice("laptop", false); err != nil {
		return err
	}
	d.constellation, err = endpoint.NewConstellation(&endpoint.ConstellationOptions{
		Name: "galaxy", Token: d.token, HeartbeatInterval: heartbeatInterval,
	})
	if err != nil {
		return err
	}
	for _, device := range []*demoDevice{d.desk, d.laptop} {
		if err := device.start(ctx); err != nil {
			return err
		}
		if err := d.constellation.Connect(ctx, device.id, d.url); err != nil {
			return err
		}
	}
	return nil
}

// lookAround waits for heartbeats of everyone and asks what the devices are.
func (d *demo) lookAround(ctx context.Context) error {
	const want = 2
	for {
		enough := true
		d.count(func() {
			for _, client := range d.server.Clients() {
				enough = enough && d.heartbeats[client.ID] >= want
			}
		})
		if enough {
			break
		}
		select {
		case <-d.beat:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	clients := len(d.server.Clients())
	d.report.event("server", "heartbeats", fmt.Sprintf("has answered at least %d heartbeats on each of %d connections", want, clients),
		field{"connections", clients})
	for _, id := range d.constellation.Devices() {
		info, err := d.constellation.DeviceInfo(ctx, id)
		if err != nil {
			return err
		}
		var about struct {
			Platform string `json:"platform"`
			CPUs     int    `json:"cpu_count"`
			Hostname string `json:"hostname"`
		}
		if err := info.Decode(&about); err != nil {
			return err
		}
		d.report.event("constellation", "device_info",
			fmt.Sprintf("learns about %q: %s, %d %s, host %s", id, about.Platform, about.CPUs, plural(about.CPUs, "CPU"), about.Hostname),
			field{"device_id", id}, field{"info", info})
	}
	return nil
}

// runTasks runs a task of several commands on each device, at the same time.
func (d *demo) runTasks(ctx context.Context) error {
	start := time.Now()
	type ended struct {
		result *endpoint.TaskResult
		took   time.Duration
		err    error
	}
	devices := d.constellation.Devices()
	ends := make(chan ended, len(devices))
	for _, id := range devices {
		go func() {
			start := time.Now()
			result, err := d.runTask(ctx, id, "count-on-"+id, "many devices make light work")
			ends <- ended{result, time.Since(start), err}
		}()
	}
	var (
		work time.Duration
		errs []error
	)
	for range devices {
		e := <-ends
		work += e.took
		errs = append(errs, e.err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	total := time.Since(start)
	d.report.event("constellation", "tasks_done", fmt.Sprintf("has %.2f s of work done after %.2f s", work.Seconds(), total.Seconds()),
		field{"work", work.Seconds()}, field{"elapsed", total.Seconds()})
	return nil
}

// runTask runs a task and checks its result.
func (d *demo) runTask(ctx context.Context, device, id, request string) (*endpoint.TaskResult, error) {
	d.report.event("constellation", "task", fmt.Sprintf("gives %q the task %q", device, request),
		field{"device_id", device}, field{"task", id}, field{"request", request})
	result, err := d.constellation.Run(ctx, device, endpoint.TaskRequest{ID: id, Name: id, Request: request})
	if err != nil {
		return nil, err
	}
	var report struct {
		Words  int    `json:"words"`
		SHA256 string `json:"sha256"`
		Text   string `json:"text"`
	}
	if err := result.Result.Decode(&report); err != nil {
		return nil, err
	}
	if report.Words == 0 || len(report.SHA256) != 64 {
		return nil, fmt.Errorf("task %s has the result %s", id, result.Result)
	}
	d.report.event("constellation", "task_completed",
		fmt.Sprintf("has the result of %q: %d words, SHA-256 %.8s…, %s", device, report.Words, report.SHA256, report.Text),
		field{"device_id", device}, field{"task", id}, field{"result", result.Result})
	return result, nil
}

// transferFile sends a file from a device to the server and compares the
// checksums of both sides.
func (d *demo) transferFile(ctx context.Context) error {
	path := filepath.Join(d.files, "source", "measurements.bin")
	if err := writeFile(path); err != nil {
		return err
	}
	start := time.Now()
	sent, err := d.desk.endpoint.SendFile(ctx, path, d.fileOptions("desk"))
	if err != nil {
		return err
	}
	var e endpoint.Event
	select {
	case e = <-d.received:
	case <-ctx.Done():
		return ctx.Err()
	}
	if e.Err != nil {
		return e.Err
	}
	took := time.Since(start)
	d.report.event("desk", "file_sent", fmt.Sprintf("has sent %s, %d MiB in %d chunks", sent.Name, sent.Size>>20, sent.Chunks),
		field{"file", sent.Name}, field{"size", sent.Size}, field{"sha256", sent.SHA256}, field{"md5", sent.MD5})
	if e.File.SHA256 != sent.SHA256 || e.File.Size != sent.Size || !e.File.Verified {
		return fmt.Errorf("the file came as %d bytes with SHA-256 %s; sent were %d bytes with %s", e.File.Size, e.File.SHA256, sent.Size, sent.SHA256)
	}
	d.report.event("server", "file_received", fmt.Sprintf("has it after %.2f s, verified: SHA-256 %.16s…, MD5 %s", took.Seconds(), e.File.SHA256, e.File.MD5),
		field{"file", e.File.Name}, field{"size", e.File.Size}, field{"sha256", e.File.SHA256}, field{"md5", e.File.MD5}, field{"verified", e.File.Verified})
	return nil
}

// writeFile writes a file of fileSize bytes of noise.
func writeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	noise := make([]byte, fileSize)
	if _, err := mathrand.NewChaCha8([32]byte{}).Read(noise); err != nil {
		return err
	}
	return os.WriteFile(path, noise, 0o600)
}

// pullCable cuts the connection of a device that works and replaces it, and sees
// the task go on.
func (d *demo) pullCable(ctx context.Context) error {
	desk := d.desk
	drain(desk.working)
	drain(desk.registered)
	ended := make(chan error, 1)
	go func() {
		_, err := d.runTask(ctx, desk.id, "steady", "nothing is lost")
		ended <- err
	}()
	select {
	case <-desk.working:
	case err := <-ended:
		return fmt.Errorf("the task ended early: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	d.report.event(desk.id, "cut", "loses its connection while it works")
	if err := desk.pull(); err != nil {
		return err
	}
	cut := time.Now()
	select {
	case <-desk.registered:
	case <-ctx.Done():
		return ctx.Err()
	}
	took := time.Since(cut)
	d.report.event(desk.id, "resumed", fmt.Sprintf("is back %.0f ms later; its session goes on", float64(took.Microseconds())/1000),
		field{"after", took.Seconds()})
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cutConnection cuts the connection of a device that does not come back, and
// sees the task fail at once.
func (d *demo) cutConnection(ctx context.Context) error {
	laptop := d.laptop
	drain(laptop.working)
	ended := make(chan error, 1)
	d.report.event("constellation", "task", fmt.Sprintf("gives %q the task %q", laptop.id, requestLong),
		field{"device_id", laptop.id}, field{"request", requestLong})
	go func() {
		_, err := d.constellation.Run(ctx, laptop.id, endpoint.TaskRequest{ID: "long", Name: "long", Request: requestLong})
		ended <- err
	}()
	select {
	case <-laptop.working:
	case err := <-ended:
		return fmt.Errorf("the task ended early: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	cut := time.Now()
	d.report.event("laptop", "cut", "loses its connection: the cable is pulled")
	if err := laptop.cut(); !errors.Is(err, errCut) {
		return fmt.Errorf("the device ended with %w", err)
	}
	select {
	case err := <-ended:
		var failed *endpoint.TaskError
		if !errors.Is(err, endpoint.ErrTaskFailed) || !errors.As(err, &failed) {
			return fmt.Errorf("the task ended with %w", err)
		}
		took := time.Since(cut)
		d.report.event("constellation", "task_failed", fmt.Sprintf("is told %.0f ms later: %s", float64(took.Microseconds())/1000, failed.Message),
			field{"device_id", laptop.id}, field{"session_id", failed.SessionID}, field{"error", failed.Message}, field{"after", took.Seconds()})
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// refuseTask asks for a task on the device that is gone.
func (d *demo) refuseTask(ctx context.Context) error {
	_, err := d.constellation.Run(ctx, d.laptop.id, endpoint.TaskRequest{ID: "refused", Request: "are you there"})
	var refused *endpoint.TaskError
	if !errors.Is(err, endpoint.ErrTaskRefused) || !errors.As(err, &refused) {
		return fmt.Errorf("the task ended with %w", err)
	}
	d.report.event("constellation", "task_refused", "is told at once: "+refused.Message,
		field{"device_id", d.laptop.id}, field{"session_id", refused.SessionID}, field{"error", refused.Message})
	return nil
}

// reconnect starts the lost device again and gives it a task.
func (d *demo) reconnect(ctx context.Context) error {
	if err := d.laptop.start(ctx); err != nil {
		return err
	}
	_, err := d.runTask(ctx, d.laptop.id, "back", "back again")
	return err
}

// shutDown ends everything, from the outside in.
func (d *demo) shutDown(ctx context.Context) error {
	if err := d.constellation.Close(); err != nil {
		return err
	}
	if err := errors.Join(d.desk.end(), d.laptop.end()); err != nil {
		return fmt.Errorf("the devices ended with %w", err)
	}
	if err := d.server.Shutdown(ctx); err != nil {
		return err
	}
	if err := d.http.Shutdown(ctx); err != nil {
		return err
	}
	if left := d.server.Clients(); len(left) > 0 {
		return fmt.Errorf("%d clients are left", len(left))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	heartbeats := 0
	for _, n := range d.heartbeats {
		heartbeats += n
	}
	completed, failed := d.tasks[messages.StatusCompleted], d.tasks[messages.StatusFailed]
	d.report.event("server", "summary", fmt.Sprintf("is closed: %d tasks completed, %d failed, %d refused; %d heartbeats answered", completed, failed, d.refused, heartbeats))
	return nil
}

// cleanUp closes what is still open, and removes the files.
func (d *demo) cleanUp() error {
	var errs []error
	if d.constellation != nil {
		errs = append(errs, d.constellation.Close())
	}
	for _, device := range []*demoDevice{d.desk, d.laptop} {
		if device != nil {
			_ = device.end() // how is told by whoever waited for something else
		}
	}
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	if d.http != nil {
		errs = append(errs, d.http.Close())
		if err := <-d.served; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	if d.files != "" {
		errs = append(errs, os.RemoveAll(d.files))
	}
	return errors.Join(errs...)
}
