package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

var (
	unusable   = regexp.MustCompile(`[^a-z0-9]+`)
	moduleLine = regexp.MustCompile(`(?m)^module .*$`)
)

// Compile type-checks and vets the snippets of one document, whose path serves
// the messages, with this module's own source. root is this module's directory
// and scratch an empty one, which becomes a user's module with the same
// dependencies.
func Compile(root, scratch, document string, snippets []Snippet) error {
	if err := userModule(root, scratch); err != nil {
		return err
	}
	name := unusable.ReplaceAllString(filepath.Base(document), "")
	for _, snippet := range snippets {
		source, standalone, err := Source(snippet, document, name)
		if err != nil {
			return err
		}
		dir := filepath.Join(scratch, name)
		if standalone {
			dir = filepath.Join(scratch, fmt.Sprintf("%s%d", name, snippet.Line))
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		file := filepath.Join(dir, fmt.Sprintf("line%d.go", snippet.Line))
		if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
			return err
		}
	}
	if len(snippets) == 0 {
		return nil
	}
	command := exec.Command("go", "vet", "-mod=mod", "./...")
	command.Dir = scratch
	command.Env = append(os.Environ(), "GOWORK=off")
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("docs: go vet: %w\n%s", err, output.String())
	}
	return nil
}

// userModule makes dir a module that requires this one, at root, and pins all
// other dependencies as this one does, so that nothing has to be fetched.
func userModule(root, dir string) error {
	pinned, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	pinned = moduleLine.ReplaceAll(pinned, []byte("module example.com/user"))
	pinned = fmt.Appendf(pinned, "\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, root)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), pinned, 0o644); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644)
}
