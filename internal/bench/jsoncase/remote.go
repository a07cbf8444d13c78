package jsoncase

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Request asks another process for a turn.
type Request struct {
	Case          string
	Size          int // of the largest message, as in All
	Leave, Encode bool
	Turn          time.Duration
}

// Reply is the answer.
type Reply struct {
	Figures Figures
	Error   string
}

// Serve takes the turns that in asks for, until it ends, and writes the figures
// to out. Before each turn the library is verified.
func Serve(l Library, in io.Reader, out io.Writer) error {
	requests, replies := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r Request
		if err := requests.Decode(&r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		var answer Reply
		var err error
		if answer.Figures, err = take(l, r); err != nil {
			answer.Error = err.Error()
		}
		if err := replies.Encode(answer); err != nil {
			return err
		}
	}
}

func take(l Library, r Request) (Figures, error) {
	c, ok := Named(r.Case, r.Size)
	if !ok {
		return Figures{}, fmt.Errorf("no message is called %q", r.Case)
	}
	if err := l.Verify(c, r.Leave); err != nil {
		return Figures{}, err
	}
	step, err := l.Step(c, r.Leave, r.Encode)
	if err != nil {
		return Figures{}, err
	}
	return Take(step, r.Turn)
}
