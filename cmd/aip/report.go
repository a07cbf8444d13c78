package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/aip-go/aip/messages"
)

// report tells the user what happens: in lines to read, or as JSON. All
// methods may be called concurrently.
type report struct {
	out      io.Writer
	json     bool
	terminal bool
	start    time.Time
	broken   chan struct{} // closed when something could not be written

	mu    sync.Mutex
	steps int
	err   error // of the first write that failed
	bar   *progressbar.ProgressBar
}

// field is something that an event is about, for JSON.
type field struct {
	key   string
	value any
}

func newReport(out io.Writer, json bool) *report {
	file, isFile := out.(*os.File)
	return &report{
		out: out, json: json, start: time.Now(), broken: make(chan struct{}),
		terminal: isFile && !json && term.IsTerminal(int(file.Fd())),
	}
}

// step begins a step.
func (r *report) step(title string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps++
	if r.json {
		r.writeJSON("step", []field{{"number", r.steps}, {"title", title}})
		return
	}
	r.print("\n%d  %s\n", r.steps, title)
}

// event reports what an actor did: in words, or as an event with fields.
func (r *report) event(actor, event, text string, fields ...field) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.json {
		r.writeJSON(event, append([]field{{"actor", actor}, {"text", text}}, fields...))
		return
	}
	r.endBar()
	r.line(actor, text)
}

// line prints a line to read. The report is locked.
func (r *report) line(actor, text string) {
	r.print("  %7.3fs  %-13s  %s\n", time.Since(r.start).Seconds(), printable(actor, ""), printable(text, ""))
}

// progress reports how far a file has come: by a bar on a terminal, else by
// lines, for which the caller chooses the moments.
func (r *report) progress(actor, name string, done, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.json:
		r.writeJSON("progress", []field{{"actor", actor}, {"file", name}, {"done", done}, {"size", size}})
	case r.terminal:
		if r.bar == nil {
			r.bar = progressbar.NewOptions64(size,
				progressbar.OptionSetWriter(r.out),
				progressbar.OptionSetDescription(fmt.Sprintf("%12s%-13s ", "", actor)),
				progressbar.OptionSetWidth(30),
				progressbar.OptionShowBytes(true),
				progressbar.OptionUseIECUnits(true),
				progressbar.OptionThrottle(30*time.Millisecond),
				progressbar.OptionSetPredictTime(false),
			)
		}
		r.note(r.bar.Set64(done))
	default:
		r.line(actor, fmt.Sprintf("sends %s: %d %%", name, done*100/max(size, 1)))
	}
}

// endBar makes room for the next line.
func (r *report) endBar() {
	if r.bar == nil {
		return
	}
	r.note(r.bar.Finish())
	r.bar = nil
	r.print("\n")
}

// done reports the end of the whole.
func (r *report) done(err error, fields ...field) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.json {
		r.endBar()
		return
	}
	all := append([]field{{"ok", err == nil}}, fields...)
	if err != nil {
		all = append(all, field{"error", err.Error()})
	}
	r.writeJSON("done", all)
}

// writeJSON writes an event. The report is locked.
func (r *report) writeJSON(event string, fields []field) {
	object := messages.Object{}
	for _, f := range append([]field{{"event", event}}, fields...) {
		value, err := messages.NewValue(f.value)
		r.note(err)
		object.Set(f.key, value)
	}
	elapsed, err := messages.NewValue(time.Since(r.start).Round(time.Microsecond).Seconds())
	r.note(err)
	object.Set("t", elapsed)
	r.print("%s\n", printable(object.Value().String(), ""))
}

func (r *report) print(format string, args ...any) {
	_, err := fmt.Fprintf(r.out, format, args...)
	r.note(err)
}

func (r *report) note(err error) {
	if r.err == nil && err != nil {
		r.err = err
		close(r.broken)
	}
}

// failed returns the first failure to write.
func (r *report) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}
