package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// aip runs a command line and returns its exit code and output.
func aip(t *testing.T, in io.Reader, args ...string) (code int, out, err string) {
	t.Helper()
	if in == nil {
		in = strings.NewReader("")
	}
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, streams{in: in, out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func TestUsage(t *testing.T) {
	tests := map[string]struct {
		args     []string
		code     int
		out, err string // parts
	}{
		"nothing":              {nil, exitUsage, "", "usage: aip COMMAND"},
		"help":                 {[]string{"help"}, exitOK, "exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted", ""},
		"--help":               {[]string{"--help"}, exitOK, "validate", ""},
		"unknown":              {[]string{"dance"}, exitUsage, "", `no command "dance"`},
		"demo help":            {[]string{"demo", "--help"}, exitOK, "exit codes:", ""},
		"demo flag":            {[]string{"demo", "--fast"}, exitUsage, "", "-fast"},
		"demo argument":        {[]string{"demo", "now"}, exitUsage, "", `unexpected argument "now"`},
		"validate help":        {[]string{"validate", "-h"}, exitOK, "exit codes:", ""},
		"validate nothing":     {[]string{"validate"}, exitUsage, "", "--model or --vectors"},
		"validate both":        {[]string{"validate", "--model", "Rect", "--vectors", "f"}, exitUsage, "", "--vectors goes with nothing else"},
		"validate model":       {[]string{"validate", "--model", "clientmessage"}, exitUsage, "", "use one of ClientMessage, ServerMessage, Command"},
		"validate two files":   {[]string{"validate", "--model", "Rect", "a", "b"}, exitUsage, "", `unexpected argument "b"`},
		"validate no file":     {[]string{"validate", "--model", "Rect", "no/such/file"}, exitFailed, "", "no/such/file"},
		"validate no vectors":  {[]string{"validate", "--vectors", "no/such/file"}, exitFailed, "", "no/such/file"},
		"version":              {[]string{"version"}, exitOK, "aip ", ""},
		"version and argument": {[]string{"version", "1"}, exitUsage, "", "unexpected"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, err := aip(t, nil, test.args...)
			if code != test.code || !strings.Contains(out, test.out) || !strings.Contains(err, test.err) {
				t.Errorf("exit code %d\n%s\n%s", code, out, err)
			}
			if (test.err == "") != (err == "") || test.out == "" && out != "" {
				t.Errorf("said on stdout: %q\non stderr: %q", out, err)
			}
		})
	}
}
