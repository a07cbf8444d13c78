package layering

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

// fakeImporter knows one third-party package.
type fakeImporter struct{ foreign *types.Package }

func (f fakeImporter) Import(path string) (*types.Package, error) {
	if path != f.foreign.Path() {
		return nil, fmt.Errorf("no package %s", path)
	}
	return f.foreign, nil
}

func compile(t *testing.T, path, source string, imports types.Importer) *types.Package {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, "a.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := (&types.Config{Importer: imports}).Check(path, files, []*ast.File{parsed}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func TestExposed(t *testing.T) {
	foreign := compile(t, nhooyr, `package websocket
		type Conn struct{}
		type Typ[T any] struct{}
		type Closer interface{ Close() }`, nil)
	tests := map[string]struct {
		source string
		names  []string // the exported names that expose it
	}{
		"parameter":             {`func F(*websocket.Conn) {}`, []string{"F"}},
		"result":                {`func F() []*websocket.Conn { return nil }`, []string{"F"}},
		"variable":              {`var V map[string]websocket.Conn`, []string{"V"}},
		"array and channel":     {`var V [2]chan websocket.Conn`, []string{"V"}},
		"callback":              {`type O struct{ F func(websocket.Conn) }`, []string{"O"}},
		"field":                 {`type O struct{ C *websocket.Conn }`, []string{"O"}},
		"embedded":              {`type O struct{ websocket.Conn }`, []string{"O"}},
		"method":                {`type O int; func (*O) M(websocket.Conn) {}`, []string{"O"}},
		"interface method":      {`type I interface{ M(websocket.Conn) }`, []string{"I"}},
		"embedded interface":    {`type I interface{ websocket.Closer }`, []string{"I"}},
		"alias":                 {`type A = websocket.Conn`, []string{"A"}},
		"type argument":         {`type G[T any] struct{}; func F(G[websocket.Conn]) {}`, []string{"F"}},
		"generic of theirs":     {`func F(websocket.Typ[int]) {}`, []string{"F"}},
		"constraint":            {`func F[T websocket.Closer]() {}`, []string{"F"}},
		"union":                 {`type I interface{ int | websocket.Conn }`, []string{"I"}},
		"unexported type shown": {`type o struct{ C websocket.Conn }; func F() o { return o{} }`, []string{"F"}},
		"recursive":             {`type L struct { Next *L; C websocket.Conn }`, []string{"L"}},
		"unexported field":      {`type O struct{ c websocket.Conn }; var _ = O{}.c`, nil},
		"unexported function":   {`func f(websocket.Conn) {}; var _ = f`, nil},
		"inside only":           {`func F() { var c websocket.Conn; _ = c }`, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			home := compile(t, Module+"/home", "package home\nimport \""+nhooyr+"\"\n"+test.source, fakeImporter{foreign})
			var want []string
			for _, name := range test.names {
				want = append(want, "exposes a type of "+nhooyr+" in "+name)
			}
			expect(t, exposed(Rule{Package: "home", Why: "w"}, home), want...)
			expect(t, exposed(Rule{Package: "home", Why: "w", Exposes: []string{nhooyr}}, home))
		})
	}
}
