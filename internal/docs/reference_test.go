package docs_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aip-go/aip/internal/docs"
)

func TestDeadLinks(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"other.md": "# Other `things`, here\n",
		"this.md": "# This one\n" +
			"[a](other.md) [b](other.md#other-things-here) [c](#this-one) [d](https://example.com/x)\n" +
			"[e](missing.md) [f](other.md#missing) [g](#missing)\n" +
			"```\n[h](inside.md)\n# Inside\n```\n[i](#inside)\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := docs.DeadLinks(filepath.Join(dir, "this.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"missing.md", "other.md#missing", "#missing", "#inside"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNamedTests(t *testing.T) {
	const document = "`TestA` and `TestB_c/case one`, `FuzzD`, `BenchmarkE`, `ExampleF`, not `Testing` nor TestG"
	want := []string{"TestA", "TestB_c", "FuzzD", "BenchmarkE", "ExampleF"}
	if got := docs.NamedTests(document); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTests(t *testing.T) {
	dir := t.TempDir()
	source := "package a\n\nfunc TestA(t *testing.T) {}\n\nfunc helper() {}\n\nfunc FuzzB(f *testing.F) {}\n"
	for _, name := range []string{"a_test.go", "a.go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o644); err != nil {
			t.Fatal(err)
		}
		source = "package a\n\nfunc TestC() {}\n"
	}
	got, err := docs.Tests(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || !got["TestA"] || !got["FuzzB"] {
		t.Errorf("got %v, want TestA and FuzzB", got)
	}
}
