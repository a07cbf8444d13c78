package endpoint

import (
	"strings"
	"testing"
)

func TestSafeTaskName(t *testing.T) {
	for name, want := range map[string]string{
		"galaxy/x/y":             "galaxy_x_y",
		"../../etc/passwd":       "_.._etc_passwd",
		"...hidden":              "hidden",
		"job-1_a.B":              "job-1_a.B",
		"naïve name":             "na_ve_name",
		"a\x00b\\c":              "a_b_c",
		"_":                      "_",
		"\xff\xfe":               "__",
		strings.Repeat("x", 999): strings.Repeat("x", 200),
	} {
		if got := SafeTaskName(name); got != want {
			t.Errorf("SafeTaskName(%q) = %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"", ".", "..."} {
		if got := SafeTaskName(name); len(got) != 36 || got == SafeTaskName(name) {
			t.Errorf("SafeTaskName(%q) = %q, want a fresh id", name, got)
		}
	}
}

func FuzzSafeTaskName(f *testing.F) {
	f.Add("../../etc/passwd")
	f.Add("")
	f.Add("日本\xff...")
	f.Fuzz(func(t *testing.T, name string) {
		safe := SafeTaskName(name)
		if safe == "" || safe[0] == '.' || len(safe) > maxTaskName || strings.ContainsFunc(safe, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r)
		}) {
			t.Errorf("SafeTaskName(%q) = %q", name, safe)
		}
		if again := SafeTaskName(safe); again != safe {
			t.Errorf("SafeTaskName(%q) = %q", safe, again)
		}
	})
}
