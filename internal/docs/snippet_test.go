package docs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aip-go/aip/internal/docs"
)

func TestExtract(t *testing.T) {
	const document = "# Title\n" +
		"```go\nvar a = 1\n```\n" +
		"```sh\nmake\n```go\n```\n" +
		"<!-- go: (n int) error -->\n\n  ```go\n  n++\n  ```\n" +
		"```\nplain\n```\n"
	got, err := docs.Extract(document)
	if err != nil {
		t.Fatal(err)
	}
	want := []docs.Snippet{
		{Line: 3, Text: "var a = 1\n"},
		{Line: 12, Signature: "(n int) error", Text: "  n++\n"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestExtractRefuses(t *testing.T) {
	for name, document := range map[string]string{
		"open Go block":           "```go\nvar a = 1\n",
		"open other block":        "```sh\nmake\n",
		"signature at the end":    "<!-- go: () -->\n",
		"signature before text":   "<!-- go: () -->\ntext\n```go\n```\n",
		"signature before sh":     "<!-- go: () -->\n```sh\n```\n",
		"signature on two lines":  "<!-- go: (\n) -->\n```go\n```\n",
		"signature after another": "<!-- go: () -->\n<!-- go: () -->\n```go\n```\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := docs.Extract(document); err == nil {
				t.Errorf("got %+v and no error", got)
			}
		})
	}
}

// compile puts the snippets into a document and compiles it.
func compile(t *testing.T, snippets ...string) error {
	t.Helper()
	document := filepath.Join(t.TempDir(), "sample.md")
	text := "# Sample\n" + strings.Join(snippets, "\n")
	if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	extracted, err := docs.Extract(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(extracted) != len(snippets) {
		t.Fatalf("extracted %d snippets of %d", len(extracted), len(snippets))
	}
	return docs.Compile(root(t), t.TempDir(), document, extracted)
}

func block(signature, text string) string {
	if signature != "" {
		signature = "<!-- go: " + signature + " -->\n"
	}
	return signature + "```go\n" + text + "\n```"
}

func TestCompileTakes(t *testing.T) {
	err := compile(t,
		block("", "func double(n int) int { return 2 * n }"),
		block("(n int)", "n = double(n)\nfmt.Println(n)"),
		block("(t transport.Transport) error", "if err := t.Close(); err != nil {\n\treturn err\n}"),
		block("(t transport.Transport) error", "return t.Close()"),
		block("() error", "import other \"errors\"\n\nreturn other.New(\"x\")"),
		block("() *json.Decoder", "import \"encoding/json\"\n\nreturn json.NewDecoder(nil)"),
		block("", "package main\n\nfunc main() {}"),
		block("", "package main\n\nfunc main() {}"),
	)
	if err != nil {
		t.Error(err)
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := map[string]struct{ snippet, want string }{
		"undefined":            {block("()", "fmt.Println(nowhere)"), "sample.md:4: undefined: nowhere"},
		"undefined, deeper":    {block("()", "import other \"errors\"\n\nfmt.Println(other.New(\"x\"))\nnowhere()"), "sample.md:7: undefined: nowhere"},
		"in a declaration":     {block("", "func f() {\n\tnowhere()\n}"), "sample.md:4: undefined: nowhere"},
		"in a program":         {block("", "package main\n\nfunc main() {\n\tnowhere()\n}"), "sample.md:6: undefined: nowhere"},
		"unused":               {block("()", "n := 1"), "sample.md:4: declared and not used: n"},
		"vet":                  {block("(n int)", "fmt.Printf(\"%s\", n)"), "fmt.Printf format %s has arg n of wrong type int"},
		"no such method":       {block("(t transport.Transport)", "t.Fly()"), "t.Fly undefined"},
		"statements":           {block("", "n := 1"), "line 3: neither declarations"},
		"no Go":                {block("()", "if {"), "line 4:"},
		"program, signature":   {block("()", "package main"), "line 4: a file needs no signature"},
		"import of no package": {block("", "import \"github.com/aip-go/aip/nowhere\""), "nowhere"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := compile(t, test.snippet)
			if err == nil {
				t.Fatal("compiled")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not contain %q: %v", test.want, err)
			}
		})
	}
}
