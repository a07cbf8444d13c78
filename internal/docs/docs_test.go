package docs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aip-go/aip/internal/docs"
)

// root is the root module's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// documents returns the paths of README.md and docs/*.md.
func documents(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root(t), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("there are no documents, so nothing would be checked")
	}
	return append(found, filepath.Join(root(t), "README.md"))
}

func TestSnippetsCompile(t *testing.T) {
	compiled := 0
	for _, path := range documents(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			snippets, err := docs.Extract(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := docs.Compile(root(t), t.TempDir(), path, snippets); err != nil {
				t.Error(err)
			}
			compiled += len(snippets)
		})
	}
	if compiled == 0 {
		t.Error("no document has a snippet, so nothing was checked")
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, path := range documents(t) {
		dead, err := docs.DeadLinks(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range dead {
			t.Errorf("%s: link to %s leads nowhere", filepath.Base(path), target)
		}
	}
}

func TestNamedTestsExist(t *testing.T) {
	exist, err := docs.Tests(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range docs.NamedTests(string(text)) {
			if !exist[name] {
				t.Errorf("%s: there is no test %s", filepath.Base(path), name)
			}
		}
	}
}
