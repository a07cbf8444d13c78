package docs

import (
	"fmt"
	"strings"
)

// Snippet is a Go block of a document.
type Snippet struct {
	// Line is the number of its first line in the document, from 1.
	Line int
	// Signature is what the comment before the block declares, or empty.
	Signature string
	// Text is the block's content.
	Text string
}

const (
	fence          = "```"
	signatureStart = "<!-- go:"
	signatureEnd   = "-->"
)

// Extract returns the document's Go blocks. A block that is not ended, or a
// signature comment that no Go block follows, is an error.
func Extract(document string) ([]Snippet, error) {
	var (
		snippets  []Snippet
		open      *Snippet
		text      []string
		other     bool // inside a block that is not Go
		signature string
		declared  int // line of the pending signature, 0 for none
	)
	for i, line := range strings.Split(document, "\n") {
		number := i + 1
		trimmed := strings.TrimSpace(line)
		switch {
		case open != nil && trimmed == fence:
			open.Text = strings.Join(text, "\n") + "\n"
			snippets = append(snippets, *open)
			open, text = nil, nil
		case open != nil:
			text = append(text, line)
		case other:
			other = trimmed != fence
		case trimmed == fence+"go":
			open = &Snippet{Line: number + 1, Signature: signature}
			signature, declared = "", 0
		case declared != 0 && trimmed != "":
			return nil, fmt.Errorf("docs: line %d: no Go block follows the signature", declared)
		case strings.HasPrefix(trimmed, fence):
			other = true
		case strings.HasPrefix(trimmed, signatureStart):
			rest, ended := strings.CutSuffix(strings.TrimPrefix(trimmed, signatureStart), signatureEnd)
			if !ended {
				return nil, fmt.Errorf("docs: line %d: the signature's comment does not end on its line", number)
			}
			signature, declared = strings.TrimSpace(rest), number
		}
	}
	switch {
	case open != nil:
		return nil, fmt.Errorf("docs: line %d: the block does not end", open.Line)
	case other:
		return nil, fmt.Errorf("docs: the last block does not end")
	case declared != 0:
		return nil, fmt.Errorf("docs: line %d: no Go block follows the signature", declared)
	}
	return snippets, nil
}
