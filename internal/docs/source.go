package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path"
	"slices"
	"strings"
)

const module = "github.com/aip-go/aip"

// packages are those that a snippet may use without showing the import.
var packages = map[string]string{
	"bytes":         "bytes",
	"context":       "context",
	"errors":        "errors",
	"fmt":           "fmt",
	"http":          "net/http",
	"io":            "io",
	"json":          "encoding/json",
	"net":           "net",
	"os":            "os",
	"strings":       "strings",
	"sync":          "sync",
	"testing":       "testing",
	"time":          "time",
	"zap":           "go.uber.org/zap",
	"adapters":      module + "/transport/adapters",
	"codec":         module + "/codec",
	"endpoint":      module + "/endpoint",
	"messages":      module + "/messages",
	"protocol":      module + "/protocol",
	"resilience":    module + "/resilience",
	"transport":     module + "/transport",
	"transporttest": module + "/transport/transporttest",
	"websocket":     module + "/transport/websocket",
}

// Source makes a snippet a Go file of the package name, whose lines the
// compiler reports as the document's. It reports whether the
// snippet has a package clause of its own.
func Source(s Snippet, document, name string) (source string, standalone bool, err error) {
	if _, err := parser.ParseFile(token.NewFileSet(), "", s.Text, parser.PackageClauseOnly); err == nil {
		if s.Signature != "" {
			return "", false, fmt.Errorf("docs: line %d: a file needs no signature", s.Line)
		}
		return lineDirective(document, s.Line) + s.Text, true, nil
	}
	imports, body, err := splitImports(s.Text)
	if err != nil {
		return "", false, fmt.Errorf("docs: line %d: %w", s.Line, err)
	}
	bodyLine := s.Line + strings.Count(imports, "\n")
	if s.Signature != "" {
		body, err = wrap(body, s.Signature)
		if err != nil {
			return "", false, fmt.Errorf("docs: line %d: %w", s.Line, err)
		}
		bodyLine-- // the function's opening line
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+imports+body, 0)
	if err != nil {
		return "", false, fmt.Errorf("docs: line %d: neither declarations nor, with its signature, statements: %w", s.Line, err)
	}
	return "package " + name + "\n" +
		lineDirective(document, s.Line) + imports +
		missingImports(parsed) +
		lineDirective(document, bodyLine) + body, false, nil
}

func lineDirective(document string, line int) string {
	return fmt.Sprintf("//line %s:%d\n", document, line)
}

// splitImports cuts the snippet after its import declarations, at the end of a
// line.
func splitImports(text string) (imports, rest string, err error) {
	const clause = "package p\n"
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "", clause+text, parser.ImportsOnly)
	if err != nil {
		return "", "", err
	}
	end := 0
	for _, declaration := range parsed.Decls {
		end = files.Position(declaration.End()).Offset - len(clause)
	}
	if end == 0 {
		return "", text, nil
	}
	newline := strings.IndexByte(text[end:], '\n')
	return text[:end+newline+1], text[end+newline+1:], nil
}

// wrap makes statements the body of a function.
func wrap(statements, signature string) (string, error) {
	head := "func _" + signature + " {\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+head+statements+"}\n", 0)
	if err != nil {
		return "", err
	}
	function := parsed.Decls[0].(*ast.FuncDecl)
	tail := "}\n"
	if function.Type.Results != nil && !returns(function.Body.List) {
		tail = "return nil\n}\n"
	}
	return head + statements + tail, nil
}

func returns(statements []ast.Stmt) bool {
	if len(statements) == 0 {
		return false
	}
	_, ok := statements[len(statements)-1].(*ast.ReturnStmt)
	return ok
}

// missingImports returns import declarations for the well-known packages that
// the file uses and does not import.
func missingImports(file *ast.File) string {
	missing := map[string]string{}
	for _, identifier := range file.Unresolved {
		if importPath, known := packages[identifier.Name]; known {
			missing[identifier.Name] = importPath
		}
	}
	for _, spec := range file.Imports {
		if spec.Name != nil {
			delete(missing, spec.Name.Name)
		} else {
			delete(missing, path.Base(strings.Trim(spec.Path.Value, `"`)))
		}
	}
	var declarations strings.Builder
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		fmt.Fprintf(&declarations, "import %q\n", missing[name])
	}
	return declarations.String()
}
