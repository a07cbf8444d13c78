package layering_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aip-go/aip/internal/layering"
)

// faulty is a module that breaks one rule after another.
var faulty = map[string]string{
	"go.mod": `module github.com/aip-go/aip

go 1.26.0

require nhooyr.io/websocket v0.0.0

replace nhooyr.io/websocket => ./nhooyr
`,
	"nhooyr/go.mod":        "module nhooyr.io/websocket\n",
	"nhooyr/conn.go":       "package websocket\n\ntype Conn struct{}\n",
	"messages/messages.go": "package messages\n",
	"transport/upward.go":  "package transport\n\nimport _ \"github.com/aip-go/aip/messages\"\n",
	"transport/ignored.go": "//go:build neverset\n\npackage transport\n\nimport _ \"nhooyr.io/websocket\"\n",
	"transport/shown.go":   "package transport\n\nimport \"nhooyr.io/websocket\"\n\nvar Shown *websocket.Conn\n",
	"transport/long.go":    "package transport\n" + strings.Repeat("\n", layering.MaxLines),
	"unknown/unknown.go":   "package unknown\n\nimport _ \"testing\"\n",
}

func TestFaultyModuleIsFound(t *testing.T) {
	t.Setenv("GOWORK", "off")
	dir := t.TempDir()
	for name, content := range faulty {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	packages, err := layering.Load(dir, "./...")
	if err != nil {
		t.Fatal(err)
	}
	found := layering.CheckImports(layering.Rules, packages)
	found = append(found, layering.CheckLength(packages, layering.MaxLines)...)
	exposed, err := layering.CheckExposed(dir, layering.Rules, packages)
	if err != nil {
		t.Fatal(err)
	}
	found = append(found, exposed...)

	missing := map[string]bool{
		"transport/upward.go must not import github.com/aip-go/aip/messages": true,
		"transport/ignored.go must not import nhooyr.io/websocket":           true,
		"transport/shown.go must not import nhooyr.io/websocket":             true,
		"transport exposes a type of nhooyr.io/websocket in Shown":           true,
		"transport/long.go has 501 lines, more than 500":                     true,
		"unknown has no rule": true,
	}
	for _, violation := range found {
		text, _, _ := strings.Cut(strings.TrimPrefix(violation.String(), layering.Module+"/"), " (")
		if !missing[text] {
			t.Errorf("found too much: %s", violation)
		}
		delete(missing, text)
	}
	for text := range missing {
		t.Errorf("not found: %s", text)
	}
}

func TestLoadReportsWhatDoesNotCompile(t *testing.T) {
	t.Setenv("GOWORK", "off")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(faulty["go.mod"]), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "broken.go"), []byte("package broken\n\nvar x = undefined\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := layering.Load(dir, "./..."); err == nil {
		t.Error("a module that does not compile was loaded without an error")
	}
}
