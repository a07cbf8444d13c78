package layering

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Package is a package as its source has it.
type Package struct {
	// Path is the import path.
	Path string
	// Name is the name in the package clause.
	Name string
	// Export is the file of the compiled package's export data.
	Export string
	// Files are the source files, for whatever platform, tests included.
	Files []File
}

// File is one source file.
type File struct {
	Name    string
	Test    bool
	Lines   int
	Imports []string
}

// Load lists the packages that the patterns name, as the go command sees them
// from the directory dir.
func Load(dir string, patterns ...string) ([]Package, error) {
	listed, err := goList(dir, append([]string{"-export"}, patterns...)...)
	if err != nil {
		return nil, err
	}
	packages := make([]Package, 0, len(listed))
	for _, l := range listed {
		p := Package{Path: l.ImportPath, Name: l.Name, Export: l.Export}
		names := [][]string{l.GoFiles, l.CgoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles}
		for _, group := range names {
			for _, name := range group {
				file, err := loadFile(filepath.Join(l.Dir, name))
				if err != nil {
					return nil, err
				}
				p.Files = append(p.Files, file)
			}
		}
		packages = append(packages, p)
	}
	return packages, nil
}

func loadFile(path string) (File, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return File{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ImportsOnly)
	if err != nil {
		return File{}, err
	}
	file := File{
		Name:  filepath.Base(path),
		Test:  strings.HasSuffix(path, "_test.go"),
		Lines: bytes.Count(source, []byte("\n")),
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("layering: %s: import %s: %w", path, spec.Path.Value, err)
		}
		file.Imports = append(file.Imports, imported)
	}
	return file, nil
}

// listed is what "go list -json" tells of a package.
type listed struct {
	ImportPath, Name, Dir, Export     string
	GoFiles, CgoFiles, IgnoredGoFiles []string
	TestGoFiles, XTestGoFiles         []string
}

func goList(dir string, args ...string) ([]listed, error) {
	command := exec.Command("go", append([]string{"list", "-json"}, args...)...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("layering: %s: %w\n%s", command, err, stderr.String())
	}
	var all []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("layering: reading the output of %s: %w", command, err)
		}
		all = append(all, l)
	}
}
