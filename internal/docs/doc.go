// Package docs keeps the project's documents true: its tests compile every Go
// snippet of README.md and docs/*.md, follow every relative link, and look up
// every test that a document names.
//
// A snippet is a fenced block whose info string is "go". It may be a whole
// file, declarations, or statements. What would be in the way of a reader is
// filled in:
//
//   - Imports of well-known packages (see packages in source.go) are added; a
//     snippet that needs another package, or another name for it, shows its
//     import.
//   - Statements become a function's body. An HTML comment before the block,
//     invisible in the rendered document, declares the function's parameters
//     and result: <!-- go: (ctx context.Context, data []byte) error -->. The
//     result may be left out, or be error; then a final "return nil" is added
//     where the snippet does not end with a return.
//
// All snippets of a document are one package, so that a later one can use what
// an earlier one declares; those with a package clause of their own stand
// alone.
package docs
