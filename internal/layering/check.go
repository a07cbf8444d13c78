package layering

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Violation is a breach of a rule.
type Violation struct {
	// Package and File are where.
	Package, File string
	// What is the breach.
	What string
	// Why is the rule's reason.
	Why string
}

// String tells where, what and why on one line.
func (v Violation) String() string {
	where := v.Package
	if v.File != "" {
		where += "/" + v.File
	}
	return fmt.Sprintf("%s %s (%s)", where, v.What, v.Why)
}

// CheckRules reports what is wrong with the rules themselves: a rule may allow
// only packages that stand above it, needs a reason, and may narrow or expose
// only what it allows.
func CheckRules(rules []Rule) []Violation {
	var found []Violation
	above := map[string]bool{}
	for _, rule := range rules {
		report := func(what string, args ...any) {
			found = append(found, Violation{Package: rule.Package, What: fmt.Sprintf(what, args...), Why: "the table of rules"})
		}
		if rule.Why == "" {
			report("has no reason")
		}
		if above[rule.Package] {
			report("has two rules")
		}
		for _, allowed := range rule.Allows {
			if !above[allowed] {
				report("allows %s, which does not stand above it", allowed)
			}
		}
		for narrowed := range rule.Only {
			if !slices.Contains(rule.Allows, narrowed) && !slices.Contains(rule.Modules, narrowed) {
				report("narrows %s, which it does not allow", narrowed)
			}
		}
		for _, exposed := range rule.Exposes {
			if !slices.Contains(rule.Modules, exposed) {
				report("exposes %s, which it does not allow", exposed)
			}
		}
		above[rule.Package] = true
	}
	return found
}

// CheckImports reports every import that breaks a rule, and every package that
// has none.
func CheckImports(rules []Rule, packages []Package) []Violation {
	var found []Violation
	for _, p := range packages {
		rule, ok := ruleOf(rules, p.Path)
		if !ok {
			found = append(found, Violation{Package: p.Path, What: "has no rule", Why: "every package has its place in the table of rules"})
			continue
		}
		for _, file := range p.Files {
			for _, imported := range file.Imports {
				if what := checkImport(rule, p, file, imported); what != "" {
					found = append(found, Violation{Package: p.Path, File: file.Name, What: what, Why: rule.Why})
				}
			}
		}
	}
	return found
}

func ruleOf(rules []Rule, importPath string) (Rule, bool) {
	for _, rule := range rules {
		if matches(rule.Package, importPath) {
			return rule, true
		}
	}
	return Rule{}, false
}

// matches reports whether an entry of a rule names the import path.
func matches(entry, importPath string) bool {
	if tree, ok := strings.CutSuffix(entry, "/..."); ok {
		return within(Module+"/"+tree, importPath)
	}
	return importPath == Module+"/"+entry
}

// within reports whether the import path is root or lies below it.
func within(root, importPath string) bool {
	return importPath == root || strings.HasPrefix(importPath, root+"/")
}

// checkImport returns what is wrong with one import, or "".
func checkImport(rule Rule, p Package, file File, imported string) string {
	switch {
	case imported == "testing" || strings.HasPrefix(imported, "testing/"):
		if !file.Test && !strings.HasSuffix(path.Base(p.Path), "test") {
			return "imports " + imported + " outside of tests"
		}
		return ""
	case standard(imported):
		return ""
	case within(Module, imported):
		if file.Test {
			return ""
		}
		for _, allowed := range rule.Allows {
			if matches(allowed, imported) {
				return checkNarrowed(rule, file, allowed)
			}
		}
	default:
		for _, module := range rule.Modules {
			if within(module, imported) {
				if file.Test {
					return ""
				}
				return checkNarrowed(rule, file, module)
			}
		}
		if file.Test && slices.ContainsFunc(append(rule.TestModules, goleak), func(module string) bool { return within(module, imported) }) {
			return ""
		}
	}
	return "must not import " + imported
}

// checkNarrowed returns what is wrong with the use of an allowed entry in the
// file, or "".
func checkNarrowed(rule Rule, file File, entry string) string {
	if files, narrowed := rule.Only[entry]; narrowed && !slices.Contains(files, file.Name) {
		return fmt.Sprintf("imports %s, which only %s may", entry, strings.Join(files, ", "))
	}
	return ""
}

// standard reports whether the import path is the standard library's: those
// have no dot in their first element.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

// CheckLength reports every source file of more than limit lines, tests left
// out.
func CheckLength(packages []Package, limit int) []Violation {
	var found []Violation
	for _, p := range packages {
		for _, file := range p.Files {
			if !file.Test && file.Lines > limit {
				found = append(found, Violation{
					Package: p.Path,
					File:    file.Name,
					What:    fmt.Sprintf("has %d lines, more than %d", file.Lines, limit),
					Why:     "a file holds one thing; split it by what it holds",
				})
			}
		}
	}
	return found
}
