package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	notASlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]+`)
	testName = regexp.MustCompile("`((?:Test|Fuzz|Benchmark|Example)[A-Z_][A-Za-z0-9_]*)(?:/[^`]*)?`")
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
)

// DeadLinks returns the document's links to files that do not exist and to
// headings that are not there. Links out of the project are not followed.
func DeadLinks(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var dead []string
	for _, match := range link.FindAllStringSubmatch(withoutBlocks(string(text)), -1) {
		target := match[1]
		if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
			continue
		}
		file, anchor, anchored := strings.Cut(target, "#")
		on := path
		if file != "" {
			on = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
		}
		if _, err := os.Stat(on); err != nil {
			dead = append(dead, target)
			continue
		}
		if !anchored {
			continue
		}
		linked, err := os.ReadFile(on)
		if err != nil {
			return nil, err
		}
		if !anchors(string(linked))[anchor] {
			dead = append(dead, target)
		}
	}
	return dead, nil
}

// anchors are the names that a document's headings are linked by: lower case,
// punctuation dropped, spaces as dashes.
func anchors(document string) map[string]bool {
	all := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(withoutBlocks(document), -1) {
		slug := notASlug.ReplaceAllString(strings.ToLower(match[1]), "")
		all[strings.ReplaceAll(slug, " ", "-")] = true
	}
	return all
}

// withoutBlocks empties the document's fenced blocks.
func withoutBlocks(document string) string {
	var kept strings.Builder
	inside := false
	for line := range strings.Lines(document) {
		if strings.HasPrefix(strings.TrimSpace(line), fence) {
			inside = !inside
		} else if !inside {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// NamedTests returns the tests, fuzz targets, benchmarks and examples that the
// document names in code spans.
func NamedTests(document string) []string {
	var names []string
	for _, match := range testName.FindAllStringSubmatch(document, -1) {
		names = append(names, match[1])
	}
	return names
}

// Tests returns the names of all test functions in the source below root.
func Tests(root string) (map[string]bool, error) {
	all := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("docs: %w", err)
		}
		for _, match := range testFunc.FindAllSubmatch(source, -1) {
			all[string(match[1])] = true
		}
		return nil
	})
	return all, err
}
