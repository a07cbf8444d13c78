package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestInteropNamesEveryVector: the inputs on which the codec's test expects
// another verdict than the reference's are those of docs/interop.md.
func TestInteropNamesEveryVector(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "interop.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 7 {
			named[strings.Trim(cells[1], " `")] = true
		}
	}
	for _, id := range deliberate(t) {
		if !named[id] {
			t.Errorf("docs/interop.md does not name the vector %s", id)
		}
	}
}

// deliberate returns the keys of the codec's list of differences.
func deliberate(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(root(t), "codec", "json_vectors_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || spec.Names[0].Name != "deliberate" {
			return true
		}
		for _, element := range spec.Values[0].(*ast.CompositeLit).Elts {
			id, err := strconv.Unquote(element.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return false
	})
	if len(ids) == 0 {
		t.Fatalf("%s has no list of differences", path)
	}
	return ids
}
