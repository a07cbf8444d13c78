package layering

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"slices"
)

// CheckExposed reports every third-party type that appears in an exported
// signature of a package whose rule does not say that it may.
func CheckExposed(dir string, rules []Rule, packages []Package) ([]Violation, error) {
	lookup, err := exportData(dir, packages)
	if err != nil {
		return nil, err
	}
	load := importer.ForCompiler(token.NewFileSet(), "gc", lookup)
	var found []Violation
	for _, p := range packages {
		rule, ok := ruleOf(rules, p.Path)
		if !ok || p.Name == "main" || p.Export == "" {
			continue
		}
		loaded, err := load.Import(p.Path)
		if err != nil {
			return nil, fmt.Errorf("layering: %w", err)
		}
		found = append(found, exposed(rule, loaded)...)
	}
	return found, nil
}

// exportData returns a function that opens the export data of the packages and
// of all they depend on.
func exportData(dir string, packages []Package) (importer.Lookup, error) {
	args := []string{"-export", "-deps"}
	for _, p := range packages {
		args = append(args, p.Path)
	}
	all, err := goList(dir, args...)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, l := range all {
		files[l.ImportPath] = l.Export
	}
	return func(importPath string) (io.ReadCloser, error) {
		return os.Open(files[importPath])
	}, nil
}

// exposed reports the foreign types in the exported signatures of one package.
func exposed(rule Rule, p *types.Package) []Violation {
	var found []Violation
	scope := p.Scope()
	for _, name := range scope.Names() {
		object := scope.Lookup(name)
		if !object.Exported() {
			continue
		}
		walk := walker{home: p, seen: map[types.Type]bool{}}
		walk.object(object)
		for _, foreign := range walk.foreign {
			if slices.ContainsFunc(rule.Exposes, func(module string) bool { return within(module, foreign) }) {
				continue
			}
			found = append(found, Violation{
				Package: p.Path(),
				What:    fmt.Sprintf("exposes a type of %s in %s", foreign, name),
				Why:     rule.Why,
			})
		}
	}
	return found
}

// walker collects the third-party packages whose types a signature names.
type walker struct {
	home    *types.Package
	seen    map[types.Type]bool
	foreign []string
}

func (w *walker) object(object types.Object) {
	named, isType := object.Type().(*types.Named)
	if _, declares := object.(*types.TypeName); !declares || !isType {
		w.typ(object.Type())
		return
	}
	if named.Obj().Pkg() != w.home { // an alias of another package's type
		w.typ(named)
		return
	}
	w.declaration(named)
}

// declaration walks what a type declared in the home package shows.
func (w *walker) declaration(named *types.Named) {
	w.params(named.TypeParams())
	w.typ(named.Underlying())
	for method := range named.Methods() {
		if method.Exported() {
			w.typ(method.Type())
		}
	}
}

func (w *walker) params(list *types.TypeParamList) {
	for param := range list.TypeParams() {
		w.typ(param.Constraint())
	}
}

func (w *walker) typ(t types.Type) {
	if w.seen[t] {
		return
	}
	w.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		w.origin(t.Obj())
		w.typ(types.Unalias(t))
	case *types.Named:
		w.origin(t.Obj())
		if t.Obj().Pkg() == w.home && !t.Obj().Exported() {
			w.declaration(t.Origin())
		}
		for argument := range t.TypeArgs().Types() {
			w.typ(argument)
		}
	case *types.Pointer:
		w.typ(t.Elem())
	case *types.Slice:
		w.typ(t.Elem())
	case *types.Array:
		w.typ(t.Elem())
	case *types.Chan:
		w.typ(t.Elem())
	case *types.Map:
		w.typ(t.Key())
		w.typ(t.Elem())
	case *types.Tuple:
		for variable := range t.Variables() {
			w.typ(variable.Type())
		}
	case *types.Signature:
		w.params(t.TypeParams())
		w.typ(t.Params())
		w.typ(t.Results())
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() || field.Embedded() {
				w.typ(field.Type())
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			w.typ(method.Type())
		}
		for embedded := range t.EmbeddedTypes() {
			w.typ(embedded)
		}
	case *types.Union:
		for term := range t.Terms() {
			w.typ(term.Type())
		}
	}
}

// origin notes the package that declares a type if it is a third party's.
func (w *walker) origin(declared *types.TypeName) {
	p := declared.Pkg()
	if p == nil || standard(p.Path()) || within(Module, p.Path()) || slices.Contains(w.foreign, p.Path()) {
		return
	}
	w.foreign = append(w.foreign, p.Path())
}
