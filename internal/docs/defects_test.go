package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aip-go/aip/internal/docs"
)

// listed is how many defects of the reference the specification lists.
const listed = 40

var defectRow = regexp.MustCompile(`^\| (D\d+) \|`)

// TestDefectsAreTested: docs/defects.md has one row for each defect of the
// specification, in order, and the tests of each are in the packages that it
// says.
func TestDefectsAreTested(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs", "defects.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{} // by directory
	next := 1
	for line := range strings.Lines(string(text)) {
		row := defectRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		if want := fmt.Sprint("D", next); row[1] != want {
			t.Errorf("%s is where %s should be", row[1], want)
		}
		next++
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 4 {
			t.Errorf("%s has %d cells", row[1], len(cells))
			continue
		}
		if len(docs.NamedTests(cells[3])) == 0 {
			t.Errorf("%s names no test", row[1])
		}
		for _, part := range strings.Split(strings.TrimSuffix(cells[3], " |"), "; ") {
			dir, names, ok := strings.Cut(part, ": ")
			if !ok {
				t.Errorf("%s: %q names no package", row[1], part)
				continue
			}
			if tests[dir] == nil {
				if tests[dir], err = docs.Tests(filepath.Join(root(t), filepath.FromSlash(dir))); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range docs.NamedTests(names) {
				if !tests[dir][name] {
					t.Errorf("%s: %s has no test %s", row[1], dir, name)
				}
			}
		}
	}
	if next != listed+1 {
		t.Errorf("there are %d rows", next-1)
	}
}
