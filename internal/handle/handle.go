// Package handle makes and checks handles: the URLs by which the target of a webhook reports about one attempt of one
// task (contract, section 3.2). The token in a handle permits that and nothing else, and does not expire by time.
package handle

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// purpose keeps a token from meaning anything where the same key is used for something else.
const purpose = "task runner handle 1\x00"

// Signer makes and checks handles. The zero value is of no use; it is safe for concurrent use.
type Signer struct {
	base string
	keys [][]byte
}

// New returns a signer whose handles begin with hostURL, used as it is except for slashes at its end. The first key
// signs, all of them verify, so that keys can be rotated.
func New(hostURL string, keys [][]byte) (*Signer, error) {
	if len(keys) == 0 {
		return nil, errors.New("handle: a key is needed")
	}
	for _, key := range keys {
		if len(key) == 0 {
			return nil, errors.New("handle: a key is empty")
		}
	}
	return &Signer{base: strings.TrimRight(hostURL, "/"), keys: keys}, nil
}

// URL returns the handle of an attempt.
func (s *Signer) URL(task uuid.UUID, attempt int32) string {
	return fmt.Sprintf("%s/task/%s?attempt=%d&token=%s", s.base, task, attempt, s.Token(task, attempt))
}

// Token returns the capability for an attempt: 43 URL-safe characters.
func (s *Signer) Token(task uuid.UUID, attempt int32) string { return token(s.keys[0], task, attempt) }

// Verify reports whether token is the capability for this attempt under any of the keys. The time it takes tells nothing
// about the token.
func (s *Signer) Verify(task uuid.UUID, attempt int32, capability string) bool {
	valid := false
	for _, key := range s.keys {
		if hmac.Equal([]byte(token(key, task, attempt)), []byte(capability)) {
			valid = true
		}
	}
	return valid
}

func token(key []byte, task uuid.UUID, attempt int32) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(purpose))
	mac.Write(task[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(attempt)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
