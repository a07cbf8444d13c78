package endpoint

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
)

// Tokens returns an Authenticator for clients that show one of these tokens (see
// [RequestToken]), each of which belongs to a principal. The time that it takes
// tells nothing of how much of which token was right. Tokens are to be random,
// and long: 32 bytes. It fails with [ErrInvalidOptions] if a token or the name of
// a principal is empty.
func Tokens(tokens map[string]Principal) (Authenticator, error) {
	table := tokenTable{compare: subtle.ConstantTimeCompare}
	for token, p := range tokens {
		if token == "" || p.Name == "" {
			return nil, invalid("Tokens: a token or the name of a principal is empty")
		}
		table.hashes = append(table.hashes, sha256.Sum256([]byte(token)))
		table.principals = append(table.principals, p.clone())
	}
	return table.authenticate, nil
}

// tokenTable knows hashes of tokens. It is not changed.
type tokenTable struct {
	hashes     [][sha256.Size]byte
	principals []*Principal
	compare    func(a, b []byte) int
}

func (t *tokenTable) authenticate(r *http.Request) (*Principal, error) {
	token, ok := RequestToken(r)
	if !ok {
		return nil, ErrUnauthenticated
	}
	if at := t.find(token); at >= 0 {
		return t.principals[at], nil
	}
	return nil, ErrForbidden
}

// find returns the index of the token, or -1. It compares with every token,
// also after it has found one.
func (t *tokenTable) find(token string) int {
	hash := sha256.Sum256([]byte(token))
	found := -1
	for i := range t.hashes {
		found = subtle.ConstantTimeSelect(t.compare(t.hashes[i][:], hash[:]), i, found)
	}
	return found
}
