//go:build unix

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "root")
	make := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	make(os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	make(os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	make(os.WriteFile(filepath.Join(dir, "sub", "text"), []byte("grüß dich"), 0o600))
	make(os.WriteFile(filepath.Join(dir, "binary"), []byte{0xff, 0}, 0o600))
	make(os.WriteFile(filepath.Join(dir, "full"), bytes.Repeat([]byte("x"), maxFileSize), 0o600))
	make(os.WriteFile(filepath.Join(dir, "large"), bytes.Repeat([]byte("x"), maxFileSize+1), 0o600))
	make(os.Symlink("sub/text", filepath.Join(dir, "inside")))
	make(os.Symlink("../secret", filepath.Join(dir, "link")))
	make(os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "absolute")))
	make(os.Symlink("..", filepath.Join(dir, "up")))
	make(syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	root, err := os.OpenRoot(dir)
	make(err)
	defer root.Close()

	for path, want := range map[string]fileResult{
		"sub/text":          {"sub/text", 11, "utf-8", "grüß dich"},
		"./sub/../sub/text": {"./sub/../sub/text", 11, "utf-8", "grüß dich"},
		"inside":            {"inside", 11, "utf-8", "grüß dich"},
		"binary":            {"binary", 2, "base64", "/wA="},
	} {
		if got, err := readFile(root, path); err != nil || got != want {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	if got, err := readFile(root, "full"); err != nil || got.Size != maxFileSize {
		t.Errorf("%d, %v", got.Size, err)
	}
	for path, want := range map[string]string{
		"../secret": "escapes", "sub/../../secret": "escapes", "link": "escapes", "absolute": "escapes", "up/secret": "escapes",
		filepath.Join(outside, "secret"): "escapes", "/etc/passwd": "escapes", "..": "escapes", "": "", "a\x00b": "",
		"large": "larger than", "sub": "no regular file", ".": "no regular file", "pipe": "no regular file",
		"missing": fs.ErrNotExist.Error(), "sub/text/more": "",
	} {
		got, err := readFile(root, path)
		if err == nil || !strings.Contains(err.Error(), want) && !(want == fs.ErrNotExist.Error() && errors.Is(err, fs.ErrNotExist)) || got != (fileResult{}) {
			t.Errorf("%q: %v, %v", path, got, err)
		} else if path != "" && !filepath.IsAbs(path) && strings.Contains(err.Error(), outside) {
			t.Errorf("%q: the error shows where the root is: %v", path, err)
		}
	}
}
