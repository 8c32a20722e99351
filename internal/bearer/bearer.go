// Package bearer knows the tokens by which callers of the API prove who they are (contract, section 3.1). Of a secret it
// holds the SHA-256 alone.
package bearer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// Scope is what a token permits; each includes the lower ones.
type Scope uint8

// The scopes. None is that of what needs no token; no token has it.
const (
	None Scope = iota
	Read
	Write
	Admin
)

// String returns the word with which it is written.
func (s Scope) String() string {
	return [...]string{"none", "read", "write", "admin"}[s]
}

var scopes = map[string]Scope{"read": Read, "write": Write, "admin": Admin}

// Token is one who may call.
type Token struct {
	Name  string
	Scope Scope
	hash  [sha256.Size]byte // of the secret
}

// Tokens are all who may call.
type Tokens []Token

const maxName = 100

// Parse reads tokens, each written as name:scope:sha256hex. The error says which entry is wrong, and repeats nothing of
// it: somebody may have written a secret there.
func Parse(entries []string) (Tokens, error) {
	var tokens Tokens
	for i, entry := range entries {
		t, wrong := parse(entry)
		for _, other := range tokens {
			switch {
			case wrong != "":
			case other.Name == t.Name:
				wrong = "has the name of another one"
			case other.hash == t.hash:
				wrong = "has the hash of another one"
			}
		}
		if wrong != "" {
			return nil, fmt.Errorf("entry %d %s", i+1, wrong)
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func parse(entry string) (t Token, wrong string) {
	parts := strings.Split(entry, ":")
	if len(parts) != 3 {
		return t, "must be name:scope:sha256hex"
	}
	t.Name, t.Scope = parts[0], scopes[parts[1]]
	hash, err := hex.DecodeString(parts[2])
	switch {
	case !goodName(t.Name):
		return t, fmt.Sprintf("must have a name of 1 to %d printable ASCII characters", maxName)
	case t.Scope == None:
		return t, "must have the scope read, write or admin"
	case err != nil || len(hash) != len(t.hash):
		return t, "must have the SHA-256 of the secret, 64 hexadecimal digits"
	}
	copy(t.hash[:], hash)
	return t, ""
}

func goodName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return len(name) <= maxName && strings.TrimSpace(name) != ""
}

// Find returns the token of a secret, the zero Token if there is none. It compares with every one, so that the time it
// takes tells nothing about any.
func (tokens Tokens) Find(secret string) Token {
	hash := sha256.Sum256([]byte(secret))
	at := -1
	for i := range tokens {
		equal := subtle.ConstantTimeCompare(hash[:], tokens[i].hash[:])
		at = subtle.ConstantTimeSelect(equal, i, at)
	}
	if at < 0 {
		return Token{}
	}
	return tokens[at]
}
