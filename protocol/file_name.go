package protocol

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxName is the longest file name in bytes that every common file system
	// takes.
	maxName = 255
	// ownPrefix begins the names of this package's temporary files.
	ownPrefix = ".aip-"
)

// SafeName turns the file name of a peer into one that can be used inside a
// directory, on any operating system, without leaving it. It
//
//   - drops directories, whichever of / and \ separates them: "../a/b.txt"
//     and `C:\a\b.txt` become "b.txt";
//   - puts _ for each of < > : " | ? *, and for dots and spaces at the end,
//     which Windows ignores;
//   - puts _ before the name of a Windows device, such as "con" or "LPT1.txt",
//     and before a name that begins like this package's temporary files.
//
// It refuses, with an error that matches [ErrUnsafeName], what is left empty,
// "." and "..", more than 255 bytes, invalid UTF-8, control characters (NUL
// included), and the invisible characters that change the direction of text.
//
// A name that it returns, it returns unchanged when asked again.
func SafeName(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", fmt.Errorf("%w: not UTF-8", ErrUnsafeName)
	}
	base := name[strings.LastIndexAny(name, `/\`)+1:]
	if base == "" || base == "." || base == ".." {
		return "", fmt.Errorf("%w: names no file", ErrUnsafeName)
	}
	for _, r := range base {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return "", fmt.Errorf("%w: has the control character %U", ErrUnsafeName, r)
		}
	}
	safe := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>:"|?*`, r) {
			return '_'
		}
		return r
	}, base)
	kept := strings.TrimRight(safe, ". ")
	safe = kept + strings.Repeat("_", len(safe)-len(kept))
	if isDeviceName(safe) || strings.HasPrefix(strings.ToLower(safe), ownPrefix) {
		safe = "_" + safe
	}
	if len(safe) > maxName {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrUnsafeName, maxName)
	}
	return safe, nil
}

// isDeviceName reports whether Windows takes name for a device: up to the
// first dot, in any case, with spaces before the dot ignored.
func isDeviceName(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if digit, ok := strings.CutPrefix(stem, port); ok && utf8.RuneCountInString(digit) == 1 {
			return strings.Contains("0123456789¹²³", digit)
		}
	}
	return false
}

// numbered returns name with " (n)" before its extension, cut to fit.
func numbered(name string, n int) string {
	stem, extension := name, ""
	if dot := strings.LastIndexByte(name, '.'); dot > 0 {
		stem, extension = name[:dot], name[dot:]
	}
	suffix := fmt.Sprintf(" (%d)", n)
	if len(extension)+len(suffix) >= maxName {
		stem, extension = name, ""
	}
	for len(stem)+len(suffix)+len(extension) > maxName {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return stem + suffix + extension
}
