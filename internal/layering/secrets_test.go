package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretName matches the names of what must not be compared byte by byte until
// the first difference: the time that takes tells how much was right.
var secretName = regexp.MustCompile(`(?i)(token|secret|password|apikey)$`)

// comparing are functions that end at the first difference.
var comparing = []string{
	"bytes.Equal", "bytes.Compare", "bytes.HasPrefix", "strings.Compare", "strings.EqualFold", "strings.HasPrefix",
	"slices.Equal", "slices.Contains", "slices.Index", "reflect.DeepEqual",
}

// hasty returns where the source compares a secret with something other than
// nothing, or looks one up, in a way that takes longer the more of it is right.
func hasty(files *token.FileSet, file *ast.File) []string {
	var found []string
	report := func(at ast.Node, what string) {
		found = append(found, fmt.Sprintf("%s: %s", files.Position(at.Pos()), what))
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || isNothing(n.X) || isNothing(n.Y) {
				return true
			}
			if isSecret(n.X) || isSecret(n.Y) {
				report(n, n.Op.String())
			}
		case *ast.SwitchStmt:
			if n.Tag != nil && isSecret(n.Tag) {
				report(n, "switch")
			}
		case *ast.IndexExpr:
			if isSecret(n.Index) {
				report(n, "lookup")
			}
		case *ast.CallExpr:
			if name := called(n); slices.Contains(comparing, name) && slices.ContainsFunc(n.Args, isSecret) {
				report(n, name)
			}
		}
		return true
	})
	return found
}

// isNothing reports whether e is "" or nil.
func isNothing(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return e.Value == `""`
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}

func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.CallExpr: // a conversion, or what returns one
		return isSecret(e.Fun) || len(e.Args) == 1 && isSecret(e.Args[0]) && called(e) != "len"
	case *ast.ArrayType, *ast.ParenExpr, *ast.SliceExpr:
		return false
	}
	return false
}

// called returns the name of the function that is called, with its package.
func called(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if of, ok := f.X.(*ast.Ident); ok {
			return of.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// constantTime returns the functions of the file that compare in constant time.
func constantTime(file *ast.File) []string {
	var names []string
	for _, declaration := range file.Decls {
		f, ok := declaration.(*ast.FuncDecl)
		if !ok {
			continue
		}
		uses := false
		ast.Inspect(f, func(node ast.Node) bool {
			if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == "ConstantTimeCompare" {
				uses = true
			}
			return true
		})
		if uses {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// TestSecretsAreComparedInConstantTime: no server's source compares a token, a
// key or a resume token in a way whose time tells how much of it was right, or
// looks one up in a map; and the functions that compare are those that do it in
// constant time.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	var constant []string
	for _, dir := range []string{"endpoint", "resilience"} {
		sources, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, path := range sources {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			seen++
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, place := range hasty(files, file) {
				t.Error(place)
			}
			for _, name := range constantTime(file) {
				constant = append(constant, dir+"."+name)
			}
		}
		if seen == 0 {
			t.Errorf("%s has no source", dir)
		}
	}
	slices.Sort(constant)
	if want := []string{"endpoint.Tokens", "endpoint.sameToken", "resilience.equal"}; !slices.Equal(constant, want) {
		t.Errorf("in constant time compare %q, want %q", constant, want)
	}
}

// TestHastyComparisonsAreFound: what the test above looks for is found where it
// is.
func TestHastyComparisonsAreFound(t *testing.T) {
	const source = `package p

func f() {
	_ = given == s.options.Token
	_ = token != other
	_ = string(secret) == x
	_ = r.Token() == x
	_ = bytes.Equal([]byte(password), x)
	_ = strings.EqualFold(a, apiKey)
	_ = sessions[token]
	switch o.Token {
	}
	// These are none.
	_ = token == "" || nil != token || len(token) == 3 || tokens == x
	_ = sameToken(a, token)
	_ = all["token"]
}
`
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, place := range hasty(files, file) {
		lines = append(lines, strings.Split(place, ":")[1])
	}
	if got := strings.Join(lines, " "); got != "4 5 6 7 8 9 10 11" {
		t.Errorf("found in the lines %s", got)
	}
}
