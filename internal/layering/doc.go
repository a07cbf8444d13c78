// Package layering checks the project's own source against its import rules:
// which package may import which, where a third-party module may be used, and
// whose types may appear in an exported signature. The rules, each with its
// reason, are in rules.go; the tests of this package apply them.
package layering
