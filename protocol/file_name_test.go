package protocol

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSafeName(t *testing.T) {
	for in, want := range map[string]string{
		"f.txt":                         "f.txt",
		"名前 \U0001F600.png":             "名前 \U0001F600.png",
		".bashrc":                       ".bashrc",
		"../x":                          "x",
		"../../etc/passwd":              "passwd",
		"/etc/passwd":                   "passwd",
		`..\..\windows\system.ini`:      "system.ini",
		`C:\a\b.txt`:                    "b.txt",
		"C:b.txt":                       "C_b.txt",
		`a/b\c`:                         "c",
		"a|b<c>?*.txt":                  "a_b_c___.txt",
		`say "hi"`:                      "say _hi_",
		"file.txt:stream":               "file.txt_stream",
		"dots...":                       "dots___",
		"space ":                        "space_",
		"...":                           "___",
		"con":                           "_con",
		"NUL.txt":                       "_NUL.txt",
		"Lpt1.tar.gz":                   "_Lpt1.tar.gz",
		"COM²":                          "_COM²",
		"aux .txt":                      "_aux .txt",
		"conin$":                        "_conin$",
		"console":                       "console",
		"com10":                         "com10",
		".aip-partial":                  "_.aip-partial",
		".AIP-x.tmp":                    "_.AIP-x.tmp",
		strings.Repeat("a", 255):        strings.Repeat("a", 255),
		strings.Repeat("d/", 300) + "f": "f",
	} {
		got, err := SafeName(in)
		if err != nil || got != want {
			t.Errorf("SafeName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", ".", "..", "/", `\`, "a/", `a\`, "a/..", `..\..`, "../.",
		"nul\x00byte", "line\nbreak", "tab\t", "del\x7f", "c1\u0085", "bell\a",
		"\xff\xfe", "a\xc3", "gnp\u202etxt.exe", "\u2066x", "x\u2028y",
		strings.Repeat("a", 256), strings.Repeat("é", 128),
		".aip-" + strings.Repeat("a", 250),
	} {
		if got, err := SafeName(in); !errors.Is(err, ErrUnsafeName) || got != "" {
			t.Errorf("SafeName(%q) = %q, %v; want ErrUnsafeName", in, got, err)
		}
	}
}

func TestNumbered(t *testing.T) {
	long := strings.Repeat("é", 127)
	for _, test := range []struct {
		name string
		n    int
		want string
	}{
		{"f.txt", 1, "f (1).txt"},
		{"f", 12, "f (12)"},
		{".bashrc", 1, ".bashrc (1)"},
		{"a.tar.gz", 2, "a.tar (2).gz"},
		{long, 1, strings.Repeat("é", 125) + " (1)"},
		{"x." + strings.Repeat("e", 253), 1, "x." + strings.Repeat("e", 249) + " (1)"},
	} {
		got := numbered(test.name, test.n)
		if got != test.want {
			t.Errorf("numbered(%q, %d) = %q, want %q", test.name, test.n, got, test.want)
		}
		if safe, err := SafeName(got); err != nil || safe != got {
			t.Errorf("SafeName(%q) = %q, %v", got, safe, err)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, seed := range []string{"f.txt", "../x", `..\x`, "con.txt", "a:b", "...", "x ", "\x00", ".aip-x", "a/..", "\u202e"} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, name string) {
		safe, err := SafeName(name)
		if err != nil {
			if !errors.Is(err, ErrUnsafeName) || safe != "" {
				t.Fatalf("SafeName(%q) = %q, %v", name, safe, err)
			}
			return
		}
		if again, err := SafeName(safe); err != nil || again != safe {
			t.Fatalf("SafeName(%q) = %q, which gives %q, %v", name, safe, again, err)
		}
		for _, s := range []string{safe, numbered(safe, 1), numbered(safe, maxNumber)} {
			if !filepath.IsLocal(s) || strings.ContainsAny(s, `/\`) || len(s) > maxName || s == "." || s == ".." {
				t.Fatalf("SafeName(%q) = %q leads elsewhere", name, s)
			}
			if filepath.Dir(filepath.Join(dir, s)) != dir {
				t.Fatalf("SafeName(%q) = %q leaves the directory", name, s)
			}
		}
		// The operating system agrees that it is a name inside the directory.
		if err := os.WriteFile(filepath.Join(dir, safe), nil, 0o600); err != nil {
			t.Fatalf("%q: %v", safe, err)
		}
		if err := os.Remove(filepath.Join(dir, safe)); err != nil {
			t.Fatal(err)
		}
	})
}
