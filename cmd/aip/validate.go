package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aip-go/aip/codec"
	"github.com/aip-go/aip/messages"
)

const validateUsage = `usage: aip validate --model NAME [FILE|-]
       aip validate --vectors FILE

Reads messages, one a line, and prints a line of JSON for each:

  {"accept":true,"output":{...},"errors":[]}

output is the message as the reference implementation writes it, null if it is
not accepted. errors says what is wrong: each has a "field" (empty: the message
as a whole), a "rule" and a "message". Blank lines are skipped.

With --vectors, the lines are objects with an "id", a "model" and an "input",
and the lines printed begin with the "id".

exit codes: 0 everything was read, whether accepted or not; 1 something could
not be read or written; 2 wrong usage, or no such model; 130 interrupted

`

func validateCommand(ctx context.Context, args []string, s streams) int {
	flags := flag.NewFlagSet("validate", flag.ContinueOnError)
	model := flags.String("model", "", "the `name` of the model: "+strings.Join(codec.Models(), ", "))
	vectors := flags.String("vectors", "", "a `file` of vectors; - is standard input")
	if code, done := parse(flags, validateUsage, args, 1, s); done {
		return code
	}
	name, check := *vectors, checkVector
	switch {
	case *vectors != "" && (*model != "" || flags.NArg() > 0):
		return misused(s, "validate", "--vectors goes with nothing else")
	case *vectors != "":
	case *model == "":
		return misused(s, "validate", "--model or --vectors is needed")
	case codec.NewModel(*model) == nil:
		return misused(s, "validate", fmt.Sprintf("there is no model %q; use one of %s", *model, strings.Join(codec.Models(), ", ")))
	default:
		name = flags.Arg(0)
		check = func(line []byte) (verdict, error) { return checkMessage(*model, line), nil }
	}
	// Nothing interrupts the reading of a terminal, so an interrupt leaves the
	// reader to the end of the program.
	done := make(chan error, 1)
	go func() { done <- validateFile(ctx, name, check, s) }()
	select {
	case err := <-done:
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(s.err, "aip validate: %v\n", err)
			return exitFailed
		}
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return exitInterrupted
	}
	return exitOK
}

// validateFile checks the lines of the file name; "" and "-" are the standard
// input.
func validateFile(ctx context.Context, name string, check func([]byte) (verdict, error), s streams) error {
	in := s.in
	if name != "" && name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	} else {
		name = "standard input"
	}
	out := bufio.NewWriter(s.out)
	reader := bufio.NewReader(in)
	for number := 1; ctx.Err() == nil; number++ {
		line, end := reader.ReadBytes('\n') // however long it is
		if text := bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(text)) > 0 {
			v, err := check(text)
			if err != nil {
				return errors.Join(out.Flush(), fmt.Errorf("%s line %d: %w", name, number, err))
			}
			if _, err := out.Write(v.appendTo(nil)); err != nil {
				return err
			}
		}
		// Whoever writes a line and waits for the answer gets it.
		if end != nil || reader.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(end, io.EOF) {
			return nil
		}
		if end != nil {
			return end
		}
	}
	return ctx.Err()
}

// verdict is what is printed of a message.
type verdict struct {
	id     *string
	output []byte // nil: not accepted
	errors []fieldError
}

// fieldError is one thing that is wrong.
type fieldError struct {
	Field   string `json:"field"`
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// checkMessage checks one message.
func checkMessage(model string, line []byte) verdict {
	output, err := codec.JSON{}.Validate(model, line)
	if err != nil {
		return verdict{errors: fieldErrors(err)}
	}
	return verdict{output: output, errors: []fieldError{}}
}

// checkVector checks the message in a line of a file of vectors.
func checkVector(line []byte) (verdict, error) {
	var vector struct {
		ID    string  `json:"id"`
		Model string  `json:"model"`
		Input *string `json:"input"`
	}
	if err := json.Unmarshal(line, &vector); err != nil {
		return verdict{}, fmt.Errorf("not a vector: %w", err)
	}
	if vector.Input == nil {
		return verdict{}, errors.New("not a vector: it has no input")
	}
	if codec.NewModel(vector.Model) == nil {
		return verdict{}, fmt.Errorf("there is no model %q; use one of %s", vector.Model, strings.Join(codec.Models(), ", "))
	}
	v := checkMessage(vector.Model, []byte(*vector.Input))
	v.id = &vector.ID
	return v, nil
}

// fieldErrors says what err, of codec.JSON, is about.
func fieldErrors(err error) []fieldError {
	var (
		wrong  *messages.ValidationError
		syntax *codec.SyntaxError
	)
	switch {
	case errors.As(err, &wrong):
		list := make([]fieldError, len(wrong.Fields))
		for i, f := range wrong.Fields {
			list[i] = fieldError{f.Path, f.Rule, f.Message}
		}
		return list
	case errors.As(err, &syntax):
		return []fieldError{{Rule: "syntax", Message: syntax.Error()}}
	case errors.Is(err, codec.ErrTooDeep):
		return []fieldError{{Rule: "depth", Message: err.Error()}}
	case errors.Is(err, codec.ErrTooLarge):
		return []fieldError{{Rule: "size", Message: err.Error()}}
	default:
		return []fieldError{{Rule: "invalid", Message: err.Error()}}
	}
}

// appendTo appends the verdict's line. The output stays as it is, byte for
// byte.
func (v verdict) appendTo(dst []byte) []byte {
	dst = append(dst, '{')
	if v.id != nil {
		dst = append(dst, `"id":`...)
		dst = appendJSON(dst, *v.id)
		dst = append(dst, ',')
	}
	dst = fmt.Appendf(dst, `"accept":%t,"output":`, v.output != nil)
	if v.output == nil {
		dst = append(dst, "null"...)
	}
	dst = append(dst, v.output...)
	dst = append(dst, `,"errors":`...)
	return append(appendJSON(dst, v.errors), '}', '\n')
}

// appendJSON appends v, which always encodes, as JSON.
func appendJSON(dst []byte, v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic("aip: " + err.Error())
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
