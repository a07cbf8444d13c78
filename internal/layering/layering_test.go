package layering_test

import (
	"slices"
	"testing"

	"github.com/aip-go/aip/internal/layering"
)

// load lists the project's packages: those of every module of the workspace,
// or those of the root module alone where there is no workspace.
func load(t *testing.T) []layering.Package {
	t.Helper()
	packages, err := layering.Load(".", layering.Module+"/...")
	if err != nil {
		t.Fatal(err)
	}
	for _, expected := range []string{"messages", "codec", "transport", "transport/websocket", "protocol", "internal/layering"} {
		if !slices.ContainsFunc(packages, func(p layering.Package) bool {
			return p.Path == layering.Module+"/"+expected && len(p.Files) > 0
		}) {
			t.Fatalf("package %s was not found, so nothing would be checked", expected)
		}
	}
	return packages
}

func report(t *testing.T, found []layering.Violation) {
	t.Helper()
	for _, violation := range found {
		t.Error(violation)
	}
}

func TestRulesAreInOrder(t *testing.T) {
	report(t, layering.CheckRules(layering.Rules))
}

func TestImportsKeepTheRules(t *testing.T) {
	report(t, layering.CheckImports(layering.Rules, load(t)))
}

func TestNoFileIsTooLong(t *testing.T) {
	report(t, layering.CheckLength(load(t), layering.MaxLines))
}

func TestNoForeignTypeIsExposed(t *testing.T) {
	found, err := layering.CheckExposed(".", layering.Rules, load(t))
	if err != nil {
		t.Fatal(err)
	}
	report(t, found)
}
