// Package signature signs webhook calls as Standard Webhooks has it (contract, section 8.3), so that their receivers know who
// called. The MAC and its form are the business of the official library.
package signature

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The headers of a signed call.
const (
	HeaderID        = standardwebhooks.HeaderWebhookID
	HeaderTimestamp = standardwebhooks.HeaderWebhookTimestamp
	HeaderSignature = standardwebhooks.HeaderWebhookSignature
)

const (
	prefix     = "whsec_"
	minKey     = 24 // bytes, both as the specification has it
	maxKey     = 64
	maxSecrets = 10 // a receiver knows one, and a rotation needs two; each is 48 characters of a header
)

// Signer signs with every secret it has, so that receivers can go from one to the next. It may be used by many goroutines.
type Signer struct{ keys []*standardwebhooks.Webhook }

// New makes a signer of secrets, each written as whsec_<base64>. Without any it is nil: nothing is signed. The error says
// which entry is wrong, and repeats nothing of it.
func New(secrets []string) (*Signer, error) {
	if len(secrets) > maxSecrets {
		return nil, fmt.Errorf("%d entries are more than %d", len(secrets), maxSecrets)
	}
	if len(secrets) == 0 {
		return nil, nil
	}
	s := &Signer{}
	for i, secret := range secrets {
		text, found := strings.CutPrefix(secret, prefix)
		if !found {
			return nil, fmt.Errorf("entry %d does not begin with %s", i+1, prefix)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("entry %d is not %s and base64 (with + and /, padded by =)", i+1, prefix)
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("entry %d has a key of %d bytes, not of %d to %d", i+1, len(key), minKey, maxKey)
		}
		webhook, err := standardwebhooks.NewWebhookRaw(key)
		if err != nil {
			return nil, fmt.Errorf("entry %d is not a key", i+1)
		}
		s.keys = append(s.keys, webhook)
	}
	return s, nil
}

// Sign returns the value of HeaderSignature for a call with this id and body at this moment.
func (s *Signer) Sign(id string, at time.Time, body []byte) (string, error) {
	var signatures []string
	for _, key := range s.keys {
		signature, err := key.Sign(id, at, body)
		if err != nil {
			return "", fmt.Errorf("sign a webhook call: %w", err)
		}
		signatures = append(signatures, signature)
	}
	return strings.Join(signatures, " "), nil
}
