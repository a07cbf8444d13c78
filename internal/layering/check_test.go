package layering

import (
	"slices"
	"testing"
)

// whats are the breaches without their places.
func whats(found []Violation) []string {
	var all []string
	for _, v := range found {
		all = append(all, v.What)
	}
	return all
}

func expect(t *testing.T, found []Violation, want ...string) {
	t.Helper()
	if got := whats(found); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestCheckRules(t *testing.T) {
	low := Rule{Package: "low", Why: "w", Modules: []string{zap}}
	tests := map[string]struct {
		rules []Rule
		want  []string
	}{
		"in order":        {[]Rule{low, {Package: "high", Why: "w", Allows: []string{"low"}}}, nil},
		"upward":          {[]Rule{{Package: "high", Why: "w", Allows: []string{"low"}}, low}, []string{"allows low, which does not stand above it"}},
		"itself":          {[]Rule{{Package: "low", Why: "w", Allows: []string{"low"}}}, []string{"allows low, which does not stand above it"}},
		"no reason":       {[]Rule{{Package: "low"}}, []string{"has no reason"}},
		"twice":           {[]Rule{low, low}, []string{"has two rules"}},
		"narrows other":   {[]Rule{{Package: "low", Why: "w", Only: map[string][]string{zap: {"a.go"}}}}, []string{"narrows " + zap + ", which it does not allow"}},
		"exposes other":   {[]Rule{{Package: "low", Why: "w", Exposes: []string{zap}}}, []string{"exposes " + zap + ", which it does not allow"}},
		"exposes its own": {[]Rule{{Package: "low", Why: "w", Modules: []string{zap}, Exposes: []string{zap}}}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { expect(t, CheckRules(test.rules), test.want...) })
	}
}

func TestCheckImports(t *testing.T) {
	rules := []Rule{
		{Package: "low", Why: "w"},
		{Package: "mid", Why: "w", Allows: []string{"low"}, Modules: []string{zap}, TestModules: []string{nhooyr}},
		{Package: "midtest", Why: "w"},
		{Package: "tree/...", Why: "w", Allows: []string{"low"}},
		{Package: "high", Why: "w", Allows: []string{"mid", "tree/..."}, Modules: []string{nhooyr}, Only: map[string][]string{"mid": {"defaults.go"}, nhooyr: {"engine.go"}}},
	}
	source := func(path, file string, imports ...string) Package {
		return Package{Path: Module + "/" + path, Files: []File{{
			Name:    file,
			Test:    file == "a_test.go",
			Imports: imports,
		}}}
	}
	tests := map[string]struct {
		source Package
		want   []string
	}{
		"standard library":          {source("low", "a.go", "context", "net/http"), nil},
		"allowed":                   {source("mid", "a.go", Module+"/low"), nil},
		"allowed module":            {source("mid", "a.go", zap, zap+"/zapcore"), nil},
		"upward":                    {source("low", "a.go", Module+"/mid"), []string{"must not import " + Module + "/mid"}},
		"only directly above":       {source("high", "a.go", Module+"/low"), []string{"must not import " + Module + "/low"}},
		"prefix is not the package": {source("mid", "a.go", Module+"/lower"), []string{"must not import " + Module + "/lower"}},
		"child is not the package":  {source("mid", "a.go", Module+"/low/er"), []string{"must not import " + Module + "/low/er"}},
		"module not allowed":        {source("low", "a.go", zap), []string{"must not import " + zap}},
		"module by prefix":          {source("mid", "a.go", zap+"x"), []string{"must not import " + zap + "x"}},
		"tree member":               {source("tree/leaf", "a.go", Module+"/low"), nil},
		"tree imported":             {source("high", "a.go", Module+"/tree/leaf"), nil},
		"tree is no stranger":       {source("treehouse", "a.go"), []string{"has no rule"}},
		"no rule":                   {source("new", "a.go", "fmt"), []string{"has no rule"}},
		"narrowed, there":           {source("high", "defaults.go", Module+"/mid"), nil},
		"narrowed, elsewhere":       {source("high", "a.go", Module+"/mid"), []string{"imports mid, which only defaults.go may"}},
		"narrowed module":           {source("high", "a.go", nhooyr), []string{"imports " + nhooyr + ", which only engine.go may"}},
		"testing":                   {source("low", "a.go", "testing"), []string{"imports testing outside of tests"}},
		"testing/synctest":          {source("low", "a.go", "testing/synctest"), []string{"imports testing/synctest outside of tests"}},
		"testing in a test package": {source("midtest", "a.go", "testing"), nil},
		"testing in a test":         {source("low", "a_test.go", "testing", goleak), nil},
		"test imports any package":  {source("low", "a_test.go", Module+"/high"), nil},
		"test's own module":         {source("mid", "a_test.go", nhooyr), nil},
		"test's foreign module":     {source("low", "a_test.go", nhooyr), []string{"must not import " + nhooyr}},
		"goleak outside of tests":   {source("low", "a.go", goleak), []string{"must not import " + goleak}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { expect(t, CheckImports(rules, []Package{test.source}), test.want...) })
	}
}

func TestCheckLength(t *testing.T) {
	packages := []Package{{Path: Module + "/low", Files: []File{
		{Name: "just.go", Lines: 3},
		{Name: "over.go", Lines: 4},
		{Name: "over_test.go", Lines: 4, Test: true},
	}}}
	found := CheckLength(packages, 3)
	expect(t, found, "has 4 lines, more than 3")
	const want = Module + "/low/over.go has 4 lines, more than 3 (a file holds one thing; split it by what it holds)"
	if got := found[0].String(); got != want {
		t.Errorf("the violation reads %q, want %q", got, want)
	}
}
